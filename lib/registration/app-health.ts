import { messageOf } from '../model/index.js';
import { PeriodicTask, ValueView, withDeadline, type Clock, type View } from '../backend/index.js';
import { whyUnhealthy } from './health-answer.js';

/** How the app's health is found out. */
export interface HealthOptions {
  /**
   * Asked besides the methods that `@HealthCheckOf` decorates. It throws, rejects or answers `false` when the app isn't
   * healthy; a result of Terminus counts by its status. @default none
   */
  readonly check?: () => unknown;
  /** Between two rounds of all checks, in milliseconds. @default 10000 */
  readonly intervalMs?: number;
  /** A check that takes longer isn't healthy, in milliseconds. @default 5000 */
  readonly timeoutMs?: number;
  /** So many bad rounds on end make the app `DOWN`. @default 1 */
  readonly failuresToDown?: number;
  /**
   * So many good rounds on end make it `UP` again. Each time that it falls soon after it rose, twice as many are asked
   * for, up to 8 times. @default 1
   */
  readonly successesToUp?: number;
  /** `STARTING`: others don't call the app before its first good round. @default 'UP' */
  readonly initialStatus?: 'UP' | 'STARTING';
}

/** What the app knows of its own health. */
export interface HealthState {
  /** Undefined before the first round is over. */
  readonly healthy: boolean | undefined;
  /** The checks that failed in the last round, and why. */
  readonly failing: readonly { readonly check: string; readonly reason: string }[];
}

const DEFAULTS = { intervalMs: 10_000, timeoutMs: 5000, failuresToDown: 1, successesToUp: 1 } as const;

/** Rounds within which a fall counts as flapping, and the most that is asked for because of it. */
const FLAP_ROUNDS = 10;
const MAX_PATIENCE = 8;

/** Asks the app's health checks again and again; one that didn't answer in time is asked anew in the next round. */
export class AppHealth {
  private readonly view: ValueView<HealthState>;
  private readonly checks = new Map<string, () => unknown>();
  private readonly task: PeriodicTask;
  private good = 0;
  private bad = 0;
  private roundsUp = Infinity;
  private patience = 1;
  private everHealthy = false;

  constructor(
    private readonly clock: Clock,
    private readonly options: HealthOptions = {},
    onListenerError: (error: unknown) => void = () => {},
  ) {
    this.view = new ValueView<HealthState>(Object.freeze({ healthy: undefined, failing: [] }), onListenerError);
    if (options.check !== undefined) this.add('health', options.check);
    this.task = new PeriodicTask({
      clock,
      what: 'the health checks',
      intervalMs: () => options.intervalMs ?? DEFAULTS.intervalMs,
      timeoutMs: () => this.timeoutMs * 2,
      run: () => this.round(),
      onError: onListenerError,
    });
  }

  /** The newest result; told when it changes. */
  get state(): View<HealthState> {
    return this.view;
  }

  /** Whether it was healthy once. */
  get wasHealthy(): boolean {
    return this.everHealthy;
  }

  /** Whether there is anything to ask. */
  get hasChecks(): boolean {
    return this.checks.size > 0;
  }

  /** Adds a check; one more of the same name gets a number. */
  add(name: string, check: () => unknown): void {
    let unique = name;
    for (let number = 2; this.checks.has(unique); number += 1) unique = `${name} ${number}`;
    this.checks.set(unique, check);
  }

  /** Asks all once, then goes on by itself; without checks it does nothing. Never rejects. */
  async start(): Promise<void> {
    if (!this.hasChecks) return;
    const first = this.task.trigger();
    this.task.start('now');
    await first.catch(() => {});
  }

  /** Ends it. */
  async close(): Promise<void> {
    await this.task.stop();
    this.view.close();
  }

  private get timeoutMs(): number {
    return this.options.timeoutMs ?? DEFAULTS.timeoutMs;
  }

  private async round(): Promise<void> {
    const results = await Promise.all([...this.checks].map(([name, check]) => this.ask(name, check)));
    const failing = results.flatMap((result) => result ?? []);
    this.count(failing.length === 0);
    this.show(this.verdict(), failing);
  }

  private async ask(check: string, run: () => unknown): Promise<HealthState['failing'][number] | undefined> {
    try {
      const answer = await withDeadline(this.clock, this.timeoutMs, undefined, 'it', async () => run());
      const reason = whyUnhealthy(answer);
      return reason === undefined ? undefined : { check, reason };
    } catch (error) {
      return { check, reason: messageOf(error) };
    }
  }

  private count(good: boolean): void {
    this.good = good ? this.good + 1 : 0;
    this.bad = good ? 0 : this.bad + 1;
    this.roundsUp += 1;
  }

  private verdict(): boolean {
    const { healthy } = this.view.current;
    const { failuresToDown = DEFAULTS.failuresToDown, successesToUp = DEFAULTS.successesToUp } = this.options;
    // The first round decides at once: nothing is known that could be kept.
    if (healthy === undefined) return this.good > 0;
    if (healthy && this.bad >= failuresToDown) {
      this.patience = this.roundsUp <= FLAP_ROUNDS ? Math.min(this.patience * 2, MAX_PATIENCE) : 1;
      return false;
    }
    if (!healthy && this.good >= successesToUp * this.patience) {
      this.roundsUp = 0;
      return true;
    }
    return healthy;
  }

  private show(healthy: boolean, failing: HealthState['failing']): void {
    this.everHealthy ||= healthy;
    const { current } = this.view;
    const same = current.healthy === healthy && JSON.stringify(current.failing) === JSON.stringify(failing);
    if (!same) this.view.set(Object.freeze({ healthy, failing: Object.freeze(failing) }));
  }
}
