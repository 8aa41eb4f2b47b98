import { PeriodicTask, type TroubleLog } from '../../../../backend/index.js';
import { DiscoveryError } from '../../../../model/index.js';
import type { Environment } from '../environment.js';
import { SERVERS, troubleOf } from '../errors.js';
import { diffNacosInstances, type NacosInstance } from '../naming/model.js';

/** What happened to an instance. */
export type NacosInstanceEvent = 'ADDED' | 'MODIFIED' | 'DELETED';

/** Called once for each instance that has changed. */
export type NacosInstanceListener = (event: NacosInstanceEvent, instance: NacosInstance) => void | Promise<void>;

interface Subscriber {
  readonly service: string;
  readonly name: string;
  readonly task: PeriodicTask;
  active: boolean;
}

/** Listeners that are served by asking again and again. */
export class HttpSubscribers {
  private all: Subscriber[] = [];

  constructor(
    private readonly env: Environment,
    private readonly troubles: TroubleLog,
  ) {}

  /**
   * Asks at once, and then every `intervalMs`. Instances that are there at the beginning are `ADDED`.
   *
   * @throws DiscoveryError `INVALID_NAME` when the listener has no name and none is given: it could not be removed
   */
  async add(
    service: string,
    name: string,
    intervalMs: number,
    timeoutMs: () => number,
    list: (signal: AbortSignal) => Promise<readonly NacosInstance[]>,
    listener: NacosInstanceListener,
  ): Promise<void> {
    if (name === '') {
      throw new DiscoveryError('INVALID_NAME', 'a listener without a name of its own needs the option listenerName', {
        field: 'listenerName',
      });
    }
    let last: readonly NacosInstance[] = [];
    const what = `asking for ${service}`;
    const tell = (event: NacosInstanceEvent, instance: NacosInstance): void => {
      if (!subscriber.active) return;
      const failed = (error: unknown): void =>
        this.env.report({ type: 'listener.failed', where: `subscription of ${service} on ${this.env.backend}`, error });
      try {
        Promise.resolve(listener(event, instance)).catch(failed);
      } catch (error) {
        failed(error);
      }
    };
    const subscriber: Subscriber = {
      service,
      name,
      active: true,
      task: new PeriodicTask({
        clock: this.env.clock,
        what,
        intervalMs: () => intervalMs,
        timeoutMs,
        random: () => this.env.random(),
        run: async (signal) => {
          const next = await list(signal);
          this.troubles.works(SERVERS);
          this.troubles.works(what);
          const { added, changed, removed } = diffNacosInstances(last, next);
          last = next;
          for (const instance of added) tell('ADDED', instance);
          for (const instance of changed) tell('MODIFIED', instance);
          for (const instance of removed) tell('DELETED', instance);
        },
        onError: (error) => this.troubles.failed(troubleOf(what, error), error),
      }),
    };
    this.all.push(subscriber);
    subscriber.task.start('after-interval');
    // The first answer is waited for; without one the next try follows by itself.
    await subscriber.task.trigger().catch(() => {});
  }

  /** Ends the subscriptions of a service, or those of one listener. */
  async remove(service: string, name: string | undefined): Promise<void> {
    const gone = this.all.filter((one) => one.service === service && (name === undefined || one.name === name));
    await this.end(gone);
  }

  /** Ends all. */
  close(): Promise<void> {
    return this.end(this.all);
  }

  private async end(gone: readonly Subscriber[]): Promise<void> {
    this.all = this.all.filter((one) => !gone.includes(one));
    for (const one of gone) one.active = false;
    await Promise.all(gone.map((one) => one.task.stop()));
  }
}
