import { Backoff, sleep, WatchLoop } from '../../../../backend/index.js';
import { DiscoveryError, messageOf, toDiscoveryError } from '../../../../model/index.js';
import { isRefusal } from '../auth.js';
import { configKeyText, type ConfigAddress, type NacosConfigItem } from './model.js';
import type { Environment } from '../environment.js';

/** Hears of an item. Never called synchronously by what causes it; must not throw. */
export interface ConfigObserver {
  /** The item is known now, has changed, or is confirmed after a failure; undefined when there is none. */
  changed(item: NacosConfigItem | undefined): void;
  /** Nobody could be asked. */
  failed(error: DiscoveryError): void;
}

/** One observer's interest in an item. */
export interface ConfigObservation {
  /** Asks the server now; resolves when observers have been told. */
  refresh(): Promise<void>;
  /** What was told could not be decrypted: after a pause it is read, and told to this observer, again. */
  again(): void;
  close(): void;
}

/** An item with the MD5 that this client knows; '' for one that isn't there. */
export interface ListenedItem extends ConfigAddress {
  readonly md5: string;
}

/** How items are watched at the server. */
export interface ConfigItemsPort {
  /** Counts the connections; what listened on an earlier one doesn't any more. */
  epoch(): number;
  connected(): boolean;
  /** Listens to items and gives those whose MD5 at the server is another. */
  listen(items: readonly ListenedItem[], signal: AbortSignal): Promise<readonly ConfigAddress[]>;
  /** Stops listening. */
  forget(items: readonly ListenedItem[]): Promise<void>;
  query(address: ConfigAddress, signal?: AbortSignal): Promise<NacosConfigItem | undefined>;
}

/** Items in one request to listen. */
const MAX_BATCH = 3000;

/** How many items are read at the same time. */
const READS_AT_ONCE = 16;

/** How often an item is read again when the server says that it differs and it doesn't, and after how long. */
const MAX_BEHIND = 20;
const BEHIND_MS = 100;

/** What is refused is asked for less and less often, in milliseconds. */
const REFUSAL_RETRY = { initialMs: 1000, maxMs: 60_000 };

/**
 * The items that this client listens to. What the server pushes is only a hint: an item is compared by MD5 when it was
 * hinted at, after every reconnection, and all of them from time to time.
 */
export class ConfigItems {
  private readonly byKey = new Map<string, Watched>();
  private readonly loop: WatchLoop;
  private bell = new AbortController();
  private compareAllAt: number;
  private readonly refusals: Backoff;
  private closed = false;

  constructor(
    private readonly env: Environment,
    private readonly port: ConfigItemsPort,
    private readonly refreshMs: number,
    /** Told when an item came, went, or is known by another MD5. */
    private readonly onListened: () => void = () => {},
  ) {
    this.compareAllAt = env.clock.now() + refreshMs;
    this.refusals = new Backoff({ clock: env.clock, ...REFUSAL_RETRY, random: () => env.random() });
    this.loop = new WatchLoop({
      clock: env.clock,
      burst: 20,
      minIntervalMs: 50,
      backoff: { initialMs: 200, maxMs: 5000 },
      random: () => env.random(),
      round: (signal) => this.round(signal),
      onError: (error) => this.env.logger.debug(`${env.backend}: comparing configuration: ${messageOf(error)}`),
    });
  }

  get size(): number {
    return this.byKey.size;
  }

  start(): void {
    this.loop.start();
  }

  /** The items that are known, with their MD5. */
  listened(): readonly ListenedItem[] {
    return [...this.byKey.values()].flatMap((one) => (one.known ? [{ ...one.address, md5: one.md5 }] : []));
  }

  observe(address: ConfigAddress, observer: ConfigObserver): ConfigObservation {
    const key = configKeyText(address);
    let watched = this.byKey.get(key);
    if (watched === undefined) {
      watched = new Watched(address, this.env);
      this.byKey.set(key, watched);
      this.ring();
    }
    const joined = watched;
    const { clock } = this.env;
    joined.add(observer);
    let open = true;
    return {
      refresh: () => this.refresh(joined),
      again: () => {
        if (!open) return;
        joined.again(observer, clock.now());
        this.ring();
      },
      close: () => {
        if (!open) return;
        open = false;
        joined.leave(observer);
        if (joined.observers.size > 0 || this.byKey.get(key) !== joined) return;
        this.byKey.delete(key);
        this.onListened();
        if (joined.listeningOn === this.port.epoch() && this.port.connected() && !this.closed) {
          this.port.forget([{ ...address, md5: joined.md5 }]).catch((error: unknown) => {
            this.env.logger.debug(`${this.env.backend}: listening to ${key} could not be ended: ${messageOf(error)}`);
          });
        }
      },
    };
  }

  /** The server says that an item has changed. */
  hinted(dataId: string, group: string, tenant: string): void {
    const watched = this.byKey.get(configKeyText({ dataId, group, tenant }));
    if (watched === undefined) return;
    watched.hint();
    this.ring();
  }

  connected(): void {
    for (const watched of this.byKey.values()) watched.notBefore = -Infinity;
    this.ring();
    // Whatever it is waiting for after failures: now is the time.
    this.loop.again();
  }

  disconnected(error: DiscoveryError): void {
    for (const watched of this.byKey.values()) watched.fail(error);
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const watched of this.byKey.values()) watched.observers.clear();
    this.byKey.clear();
    await this.loop.close();
  }

  private ring(): void {
    this.bell.abort();
  }

  /** Waits until there is something to do, and does it. */
  private async round(signal: AbortSignal): Promise<void> {
    const { clock } = this.env;
    const pause = this.nextAt() - clock.now();
    if (pause > 0) await sleep(clock, pause, AbortSignal.any([signal, this.bell.signal]));
    this.bell = new AbortController();
    if (signal.aborted) return;
    if (!this.port.connected()) {
      // Without a connection there is nothing to ask; the bell rings when there is one.
      await sleep(clock, 1000, AbortSignal.any([signal, this.bell.signal]));
      return;
    }
    const epoch = this.port.epoch();
    const now = clock.now();
    const everything = now >= this.compareAllAt;
    const due = [...this.byKey.values()].filter((one) => everything || (one.pendingOn(epoch) && one.notBefore <= now));
    for (let index = 0; index < due.length; index += MAX_BATCH) {
      await this.compare(due.slice(index, index + MAX_BATCH), epoch, signal);
    }
    if (everything) this.compareAllAt = clock.now() + this.refreshMs;
  }

  /** When there is something to do next. */
  private nextAt(): number {
    const epoch = this.port.epoch();
    let next = this.compareAllAt;
    for (const one of this.byKey.values()) if (one.pendingOn(epoch)) next = Math.min(next, one.notBefore);
    return next;
  }

  private async compare(all: readonly Watched[], epoch: number, signal: AbortSignal): Promise<void> {
    const hinted = new Set(all.filter((watched) => watched.hinted));
    for (const watched of hinted) watched.hinted = false;
    let changed: readonly ConfigAddress[];
    try {
      changed = await this.port.listen(
        all.map((watched) => ({ ...watched.address, md5: watched.md5 })),
        signal,
      );
    } catch (error) {
      for (const watched of hinted) watched.hint();
      if (!signal.aborted) {
        const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', 'the configuration could not be compared');
        for (const watched of all) watched.fail(failure);
        // An item that somebody begins to watch may be another's.
        const wake = AbortSignal.any([signal, this.bell.signal]);
        if (isRefusal(failure)) await this.refusals.wait(wake);
      }
      throw error;
    }
    this.refusals.reset();
    const differing = new Set(changed.map(configKeyText));
    const toRead: Watched[] = [];
    for (const watched of all) {
      watched.listeningOn = epoch;
      if (hinted.has(watched) || differing.has(configKeyText(watched.address))) toRead.push(watched);
      // Confirmed as it is known, or as absent if nothing was known.
      else watched.take(watched.item);
    }
    for (let index = 0; index < toRead.length; index += READS_AT_ONCE) {
      const some = toRead.slice(index, index + READS_AT_ONCE);
      await Promise.all(some.map((one) => this.read(one, differing.has(configKeyText(one.address)), signal)));
    }
    this.onListened();
  }

  /** Never rejects: one that can't be read is tried again by itself, and holds up nobody. */
  private async read(watched: Watched, differs: boolean, signal: AbortSignal): Promise<void> {
    try {
      const before = watched.md5;
      watched.take(await this.port.query(watched.address, signal));
      // What the server has is not what it gives out yet: ask once more, a little later, but not for ever.
      const behind = differs && before === watched.md5;
      watched.behind = behind ? watched.behind + 1 : 0;
      if (behind && watched.behind <= MAX_BEHIND) watched.hint(this.env.clock.now() + BEHIND_MS);
    } catch (error) {
      if (signal.aborted) return watched.hint();
      const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', 'an item could not be read');
      this.env.logger.debug(`${this.env.backend}: ${watched.address.dataId}: ${failure.message}`);
      const { backoff, refusals } = watched;
      const pauses = isRefusal(failure) ? refusals : backoff;
      watched.hint(this.env.clock.now() + pauses.next());
      watched.fail(failure);
    }
  }

  private async refresh(watched: Watched): Promise<void> {
    try {
      watched.take(await this.port.query(watched.address));
    } catch (error) {
      const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', 'the configuration could not be read');
      if (failure.code !== 'BACKEND_CLOSED') watched.fail(failure);
      throw failure;
    }
  }
}

/** One item. */
class Watched {
  readonly observers = new Set<ConfigObserver>();
  /** Those who could not use what they were told. */
  private readonly waiting = new Set<ConfigObserver>();
  item: NacosConfigItem | undefined;
  known = false;
  /** It has to be read, whatever a comparison says. */
  hinted = false;
  /** The time before which nothing is due. */
  notBefore = -Infinity;
  readonly backoff: Backoff;
  readonly refusals: Backoff;
  private readonly unusable: Backoff;
  /** The connection on which the server watches it for us. */
  listeningOn = -1;
  failure: DiscoveryError | undefined;
  /** How often the server has said that it differs, and it didn't. */
  behind = 0;

  constructor(
    readonly address: ConfigAddress,
    env: Environment,
  ) {
    this.backoff = new Backoff({ clock: env.clock, initialMs: 200, maxMs: 5000, random: () => env.random() });
    this.refusals = new Backoff({ clock: env.clock, ...REFUSAL_RETRY, random: () => env.random() });
    this.unusable = new Backoff({ clock: env.clock, ...REFUSAL_RETRY, random: () => env.random() });
  }

  /** Whether it has to be compared on a connection. */
  pendingOn(epoch: number): boolean {
    return this.hinted || this.listeningOn !== epoch || this.failure !== undefined;
  }

  /** It has to be read, now or not before a time. */
  hint(notBefore = -Infinity): void {
    this.hinted = true;
    this.notBefore = notBefore;
  }

  get md5(): string {
    return this.item?.md5 ?? '';
  }

  add(observer: ConfigObserver): void {
    this.observers.add(observer);
    const { known, failure, item } = this;
    if (!known && failure === undefined) return;
    queueMicrotask(() => {
      if (!this.observers.has(observer)) return;
      if (failure !== undefined && this.failure === failure) observer.failed(failure);
      else if (this.known && this.failure === undefined && this.item === item) observer.changed(item);
    });
  }

  leave(observer: ConfigObserver): void {
    this.observers.delete(observer);
    this.waiting.delete(observer);
  }

  again(observer: ConfigObserver, now: number): void {
    this.waiting.add(observer);
    if (!this.hinted) this.hint(now + this.unusable.next());
  }

  take(item: NacosConfigItem | undefined): void {
    const differs = this.md5 !== (item?.md5 ?? '');
    const news = !this.known || this.failure !== undefined || differs;
    if (differs) this.unusable.reset();
    const told = news ? this.observers : new Set(this.waiting);
    this.waiting.clear();
    this.known = true;
    this.failure = undefined;
    this.notBefore = -Infinity;
    this.backoff.reset();
    this.refusals.reset();
    this.item = item;
    for (const observer of told) observer.changed(item);
  }

  fail(error: DiscoveryError): void {
    const told = this.failure?.message === error.message;
    this.failure = error;
    if (told) return;
    for (const observer of this.observers) observer.failed(error);
  }
}
