import { PeriodicTask, type TroubleLog } from '../../../../backend/index.js';
import type { Environment } from '../environment.js';
import { SERVERS, troubleOf } from '../errors.js';
import type { HttpNamingApi } from './naming-api.js';
import { instanceKey, type NacosInstance } from '../naming/model.js';

interface Beating {
  readonly task: PeriodicTask;
  instance: NacosInstance;
}

/** Keeps instances alive by beats, each at its own pace: a slow one holds up nobody. */
export class HttpBeats {
  private readonly byKey = new Map<string, Beating>();

  constructor(
    private readonly env: Environment,
    private readonly naming: HttpNamingApi,
    private readonly timeoutMs: () => number,
    private readonly troubles: TroubleLog,
  ) {}

  /**
   * Begins, or goes on with what the instance is now.
   *
   * @param everyMs what the server asks for when it is left out
   */
  start(service: string, group: string, instance: NacosInstance, everyMs: number | undefined): void {
    const key = keyOf(service, group, instance);
    void this.stop(service, group, instance);
    let asked = 5000;
    let light = false;
    const what = `the beat of ${service}`;
    const beating: Beating = {
      instance,
      task: new PeriodicTask({
        clock: this.env.clock,
        what,
        intervalMs: () => everyMs ?? asked,
        timeoutMs: this.timeoutMs,
        // A missed beat is made up for soon, or the instance expires.
        random: () => this.env.random(),
        run: async (signal) => {
          const target = { service, group, instance: beating.instance, signal };
          const answer = await this.naming.beat(target, light);
          asked = answer.intervalMs;
          light = answer.light;
          this.troubles.works(SERVERS);
          this.troubles.works(what);
          if (answer.known) return;
          light = false;
          this.env.logger.warn(`${this.env.backend}: ${service} was forgotten and is registered again`);
          await this.naming.register(target);
        },
        onError: (error) => this.troubles.failed(troubleOf(what, error), error),
      }),
    };
    this.byKey.set(key, beating);
    beating.task.start('after-interval');
  }

  /** The instance has changed: the next beats say so. */
  update(service: string, group: string, instance: NacosInstance): void {
    const beating = this.byKey.get(keyOf(service, group, instance));
    if (beating !== undefined) beating.instance = instance;
  }

  /** Ends it; resolves when no beat is under way any more, so that none comes after a deregistration. */
  async stop(
    service: string,
    group: string,
    instance: Pick<NacosInstance, 'ip' | 'port' | 'clusterName'>,
  ): Promise<void> {
    const key = keyOf(service, group, instance);
    const beating = this.byKey.get(key);
    this.byKey.delete(key);
    await beating?.task.stop();
  }

  async close(): Promise<void> {
    const all = [...this.byKey.values()];
    this.byKey.clear();
    await Promise.all(all.map((beating) => beating.task.stop()));
  }
}

function keyOf(service: string, group: string, instance: Pick<NacosInstance, 'ip' | 'port' | 'clusterName'>): string {
  return `${group}@@${service}@@${instanceKey(instance)}`;
}
