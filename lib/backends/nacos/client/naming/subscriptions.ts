import { Backoff, PeriodicTask, SingleFlight, sleep } from '../../../../backend/index.js';
import { DiscoveryError, messageOf, toDiscoveryError } from '../../../../model/index.js';
import { isRefusal } from '../auth.js';
import type { Environment } from '../environment.js';
import { keepNacosIdentity, type NacosServiceInfo } from './model.js';

/** Hears of a service. Neither function may be called synchronously by what causes it, nor may throw. */
export interface ServiceObserver {
  /** The list is new, or is confirmed after a failure. */
  changed(info: NacosServiceInfo): void;
  /** Nobody could be asked; the last list may be outdated. */
  failed(error: DiscoveryError): void;
}

/** One observer's interest in a service. */
export interface ServiceSubscription {
  /** Asks the server now; resolves when observers have been told of the answer. */
  refresh(): Promise<void>;
  close(): void;
}

/** How subscriptions reach the server. */
export interface SubscriptionPort {
  /** Counts the connections; subscriptions made on an earlier one are gone. */
  epoch(): number;
  connected(): boolean;
  subscribe(service: string, group: string): Promise<NacosServiceInfo>;
  unsubscribe(service: string, group: string): Promise<void>;
}

/** Options of {@link Subscriptions}. */
export interface SubscriptionsOptions {
  readonly env: Environment;
  readonly port: SubscriptionPort;
  /** Everything is asked for again after this time, in milliseconds. */
  readonly refreshMs: number;
  /**
   * After a reconnection a list that has become shorter is believed after this time, in milliseconds: when the server
   * went away, everybody's registration went with it and comes back within moments.
   */
  readonly settleMs: number;
  /** Ignore an empty list after one that had instances. */
  readonly emptyPushProtection: boolean;
  /** The last known list of an earlier run, until the server has answered. */
  readonly remembered?: (service: string, group: string) => Promise<NacosServiceInfo | undefined>;
  /** Told of every new list. */
  readonly keep?: (info: NacosServiceInfo) => void;
}

const SETTLE_CHECK_MS = 300;
const RETRY_MS = 3000;

/** A service that is refused is asked for less and less often, down to this, in milliseconds. */
const MAX_REFUSAL_MS = 60_000;

/** The services that this client follows, whatever happens to the connection. */
export class Subscriptions {
  private readonly byService = new Map<string, Followed>();
  /** Subscriptions that are being ended; a new one of that service waits, or the two could overtake each other. */
  private readonly ending = new Map<string, Promise<void>>();
  private readonly task: PeriodicTask;
  private readonly closing = new AbortController();

  constructor(private readonly options: SubscriptionsOptions) {
    const { env, port, refreshMs } = options;
    this.task = new PeriodicTask({
      clock: env.clock,
      what: `refreshing the subscriptions of ${env.backend}`,
      intervalMs: () => {
        const all = [...this.byService.values()];
        if (all.some((one) => one.settling)) return SETTLE_CHECK_MS;
        return all.some((one) => !one.isCurrent()) ? Math.min(RETRY_MS, refreshMs) : refreshMs;
      },
      timeoutMs: () => 60_000,
      random: () => env.random(),
      run: async () => {
        if (!port.connected()) return;
        const due = [...this.byService.values()].filter((one) => one.isDue());
        // In portions: a thousand services are no reason for a thousand requests at once.
        for (let index = 0; index < due.length; index += 50) {
          await Promise.allSettled(due.slice(index, index + 50).map((one) => one.ask()));
        }
      },
      onError: (error) => env.logger.debug(`${env.backend}: ${messageOf(error)}`),
    });
  }

  /** How many services are followed. */
  get size(): number {
    return this.byService.size;
  }

  start(): void {
    this.task.start('after-interval');
  }

  /** The last known list of a service that is followed. */
  known(service: string, group: string): NacosServiceInfo | undefined {
    return this.byService.get(keyOf(service, group))?.info;
  }

  subscribe(service: string, group: string, observer: ServiceObserver): ServiceSubscription {
    const key = keyOf(service, group);
    let followed = this.byService.get(key);
    if (followed === undefined) {
      followed = new Followed(service, group, this.options, this.ending.get(key));
      this.byService.set(key, followed);
      followed.begin();
    }
    const joined = followed;
    joined.add(observer);
    let open = true;
    return {
      refresh: async () => {
        await joined.ask();
        // An answer that is doubted is no answer yet.
        while (joined.settling && (await sleep(this.options.env.clock, SETTLE_CHECK_MS, this.closing.signal))) {
          await joined.ask();
        }
      },
      close: () => {
        if (!open) return;
        open = false;
        joined.delete(observer);
        if (joined.observed || this.byService.get(key) !== joined) return;
        this.byService.delete(key);
        const ended = joined.end().finally(() => {
          if (this.ending.get(key) === ended) this.ending.delete(key);
        });
        this.ending.set(key, ended);
      },
    };
  }

  /** Takes a list that the server sent by itself. */
  pushed(info: NacosServiceInfo): void {
    this.byService.get(keyOf(info.name, info.groupName))?.receive(info, 'push');
  }

  connected(): void {
    for (const followed of this.byService.values()) followed.reconnected();
    if (!this.closing.signal.aborted) this.task.trigger().catch(() => {});
  }

  disconnected(error: DiscoveryError): void {
    for (const followed of this.byService.values()) followed.fail(error);
  }

  async close(): Promise<void> {
    this.closing.abort();
    for (const followed of this.byService.values()) followed.clear();
    this.byService.clear();
    await this.task.stop();
  }
}

/** One service. */
class Followed {
  info: NacosServiceInfo | undefined;
  private readonly observers = new Set<ServiceObserver>();
  private readonly flight = new SingleFlight<void>();
  /** The connection that `info` came over. */
  private infoEpoch = -1;
  private askedAt = -Infinity;
  private settleUntil = -Infinity;
  private failure: DiscoveryError | undefined;
  private readonly refusals: Backoff;
  /** The time before which it isn't asked for by itself. */
  private notBefore = -Infinity;
  private over = false;

  constructor(
    private readonly service: string,
    private readonly group: string,
    private readonly options: SubscriptionsOptions,
    private readonly after: Promise<void> | undefined,
  ) {
    const { clock } = options.env;
    this.refusals = new Backoff({
      clock,
      initialMs: RETRY_MS,
      minMs: RETRY_MS,
      maxMs: MAX_REFUSAL_MS,
      random: () => options.env.random(),
    });
  }

  get observed(): boolean {
    return this.observers.size > 0;
  }

  /** True while a shorter list is not believed yet. */
  get settling(): boolean {
    return this.settleUntil > -Infinity;
  }

  isCurrent(): boolean {
    return this.infoEpoch === this.options.port.epoch() && this.failure === undefined;
  }

  isDue(): boolean {
    const { env, refreshMs } = this.options;
    if (env.clock.now() < this.notBefore) return false;
    return this.settling || !this.isCurrent() || env.clock.now() - this.askedAt >= refreshMs * 0.8;
  }

  begin(): void {
    const { remembered, env } = this.options;
    if (remembered !== undefined) {
      remembered(this.service, this.group).then(
        (info) => {
          if (info !== undefined && this.info === undefined && !this.over) this.deliver(info);
        },
        (error: unknown) => env.logger.warn(`${env.backend}: the naming cache: ${messageOf(error)}`),
      );
    }
    // Failures are told to the observers.
    this.ask().catch(() => {});
  }

  add(observer: ServiceObserver): void {
    this.observers.add(observer);
    const { info, failure } = this;
    if (info === undefined && failure === undefined) return;
    // Not at once: whoever subscribes isn't ready to hear before that has returned.
    queueMicrotask(() => {
      if (!this.observers.has(observer) || this.over) return;
      if (failure !== undefined && this.failure === failure) observer.failed(failure);
      else if (this.info !== undefined && this.info === info) observer.changed(info);
    });
  }

  delete(observer: ServiceObserver): void {
    this.observers.delete(observer);
  }

  clear(): void {
    this.over = true;
    this.observers.clear();
  }

  /** Nobody is interested any more. Never rejects. */
  async end(): Promise<void> {
    this.over = true;
    const { port, env } = this.options;
    try {
      // A subscription on its way must not arrive after its end.
      await this.flight.run('ask', () => Promise.resolve()).catch(() => {});
      if (port.connected()) await port.unsubscribe(this.service, this.group);
    } catch (error) {
      env.logger.debug(`${env.backend}: unsubscribing ${this.service}: ${messageOf(error)}`);
    }
  }

  reconnected(): void {
    const { settleMs, env } = this.options;
    this.notBefore = -Infinity;
    if (this.info !== undefined && settleMs > 0) this.settleUntil = env.clock.now() + settleMs;
  }

  /** Subscribes (again) and takes the answer. */
  ask(): Promise<void> {
    return this.flight.run('ask', async () => {
      const { port, env } = this.options;
      this.askedAt = env.clock.now();
      await this.after;
      try {
        this.receive(await port.subscribe(this.service, this.group), 'answer');
      } catch (error) {
        const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.service} could not be read`);
        if (isRefusal(failure)) this.notBefore = env.clock.now() + this.refusals.next();
        this.fail(failure);
        throw failure;
      }
    });
  }

  fail(error: DiscoveryError): void {
    if (this.over) return;
    this.failure = error;
    for (const observer of this.observers) observer.failed(error);
  }

  receive(info: NacosServiceInfo, source: 'answer' | 'push'): void {
    if (this.over) return;
    const { env, port, emptyPushProtection } = this.options;
    const epoch = port.epoch();
    const before = this.info;
    const sameConnection = this.infoEpoch === epoch;
    // Another server has another clock; over one connection an older list is a late one.
    if (sameConnection && before !== undefined && info.lastRefTime < before.lastRefTime && source === 'push') return;
    if (before !== undefined && before.hosts.length > 0) {
      if (emptyPushProtection && info.hosts.length === 0) {
        env.logger.warn(`${env.backend}: an empty list of ${this.service} was ignored (emptyPushProtection)`);
        this.infoEpoch = epoch;
        this.deliver(before);
        return;
      }
      const now = env.clock.now();
      if (now < this.settleUntil && info.hosts.length < before.hosts.length) return;
    }
    this.settleUntil = -Infinity;
    this.infoEpoch = epoch;
    this.deliver(info);
  }

  private deliver(info: NacosServiceInfo): void {
    const before = this.info;
    const hosts = before === undefined ? info.hosts : keepNacosIdentity(before.hosts, info.hosts);
    const news = before === undefined || hosts !== before.hosts || this.failure !== undefined;
    const next = Object.freeze({ ...info, hosts });
    this.info = next;
    this.failure = undefined;
    this.notBefore = -Infinity;
    this.refusals.reset();
    if (before === undefined || hosts !== before.hosts) this.options.keep?.(next);
    if (!news) return;
    for (const observer of this.observers) observer.changed(next);
  }
}

function keyOf(service: string, group: string): string {
  return `${group}@@${service}`;
}
