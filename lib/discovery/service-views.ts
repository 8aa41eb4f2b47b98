import { assertServiceName, DiscoveryError, type NoInstanceError } from '../model/index.js';
import type { Timer } from '../backend/index.js';
import { KnownNames } from './known-names.js';
import { OVERRIDES, type ServiceOverrides } from './overrides.js';
import { SharedServiceList } from './service-list-view.js';
import { ServiceView, type ServiceViewOptions } from './service-view.js';

/** What {@link ServiceViews} needs of its app. */
export interface ServiceViewsOptions extends ServiceViewOptions {
  /** An unused watch stays open this long, in milliseconds, so that one-shot reads don't open one each. */
  readonly lingerMs: number;
  /** Addresses that stand in for what the sources say. @default none */
  readonly overrides?: ServiceOverrides | undefined;
}

/** Watches that nobody uses are closed, the oldest first, when there are more: names may come from outside. */
const MAX_IDLE = 500;

interface Held {
  readonly view: ServiceView;
  holders: number;
  /** When somebody used it last, once nobody holds it. */
  usedAt: number;
  /** Set as long as nobody holds it, and maybe for a while longer. */
  linger: Timer | undefined;
}

/** The use of a view; the watch stays open until everybody has released it. */
export interface ViewLease {
  readonly view: ServiceView;
  /** Gives it back; again does nothing. */
  release(): void;
}

/** One watched view per service, shared by everybody in the app who asks for it. */
export class ServiceViews {
  private readonly views = new Map<string, Held>();
  /** Those that nobody holds, the longest unused first. */
  private readonly idle = new Set<string>();
  private readonly closing = new Set<Promise<void>>();
  private closed = false;

  /** What there is besides the services that are watched. */
  readonly names: KnownNames;

  /** The names of all services, watched by those who ask for it. */
  readonly list: SharedServiceList;

  constructor(private readonly options: ServiceViewsOptions) {
    this.names = new KnownNames(options.sources, options.clock);
    this.list = new SharedServiceList(options);
  }

  /** Names of the services that are watched at present. */
  get watched(): readonly string[] {
    return [...this.views.keys()];
  }

  /**
   * Takes part in the view of a service, which opens its watches when it is the first to.
   * @throws DiscoveryError `INVALID_NAME`; `BACKEND_CLOSED` after `close()`
   */
  acquire(service: string): ViewLease {
    assertServiceName(service, 'service');
    if (this.closed)
      throw new DiscoveryError('BACKEND_CLOSED', `${service} can't be watched: the app was closed`, { service });
    let held = this.views.get(service);
    if (held === undefined) {
      held = { view: new ServiceView(service, this.optionsFor(service)), holders: 0, usedAt: 0, linger: undefined };
      this.views.set(service, held);
    }
    const mine = held;
    mine.holders += 1;
    this.idle.delete(service);
    let released = false;
    return {
      view: mine.view,
      release: () => {
        if (released) return;
        released = true;
        mine.holders -= 1;
        mine.usedAt = this.options.clock.now();
        if (mine.holders > 0 || this.closed) return;
        this.lingerOn(service, mine, this.options.lingerMs);
        this.boundIdle(service);
      },
    };
  }

  /** The view of a service if it is watched at present; looking at it keeps it open no longer. */
  peek(service: string): ServiceView | undefined {
    return this.views.get(service)?.view;
  }

  /** The time, by the app's clock. */
  get now(): number {
    return this.options.clock.now();
  }

  /** The error that a service has nobody to call, with the names that may have been meant. */
  async explained(error: NoInstanceError): Promise<NoInstanceError> {
    const { service = '' } = error;
    if ((this.peek(service)?.current.instances.length ?? 0) > 0) return error;
    const alike = await this.names.alike(service);
    if (alike.length > 0) error.message += `. There is ${alike.join(' and ')}: names are told apart by case`;
    return error;
  }

  /** The services that are called so, in whatever case: those that are watched first, then those that the registries have. */
  async spelledLike(service: string): Promise<readonly string[]> {
    const folded = service.toLowerCase();
    const here = [...this.views.keys(), ...(this.options.overrides?.names ?? [])];
    const found = here.filter((name) => name.toLowerCase() === folded);
    return found.length > 0 ? found : this.names.spelledLike(service);
  }

  /** Runs `use` with the view of a service, held for as long as that takes. */
  async with<T>(service: string, use: (view: ServiceView) => Promise<T>): Promise<T> {
    const lease = this.acquire(service);
    try {
      return await use(lease.view);
    } finally {
      lease.release();
    }
  }

  /** The view of a service if it is watched at present, which it then is for a while longer. */
  watchedView(service: string): ServiceView | undefined {
    const held = this.views.get(service);
    if (held !== undefined) held.usedAt = this.options.clock.now();
    return held?.view;
  }

  /** Refreshes every watched service. */
  async refreshAll(): Promise<void> {
    await Promise.all([...this.views.values()].map((held) => held.view.refresh()));
  }

  /** Closes every view; resolves when all watches have ended. */
  async close(): Promise<void> {
    this.closed = true;
    for (const held of this.views.values()) {
      held.linger?.cancel();
      this.end(held);
    }
    this.views.clear();
    await Promise.all([...this.closing, this.list.close()]);
  }

  private optionsFor(service: string): ServiceViewOptions {
    const { overrides } = this.options;
    if (overrides?.has(service) !== true) return this.options;
    return { ...this.options, sources: [{ backend: OVERRIDES, driver: overrides }], nameFor: undefined };
  }

  private lingerOn(service: string, held: Held, forMs: number): void {
    const { clock, lingerMs } = this.options;
    // One timer for any number of uses: it looks after the fact whether there were some.
    held.linger ??= clock.setTimer(
      () => {
        held.linger = undefined;
        if (held.holders > 0) return;
        const left = held.usedAt + lingerMs - clock.now();
        if (left > 0) return this.lingerOn(service, held, left);
        this.drop(service, held);
      },
      forMs,
      { background: true },
    );
  }

  private boundIdle(service: string): void {
    this.idle.add(service);
    const [oldest] = this.idle;
    const held = oldest === undefined ? undefined : this.views.get(oldest);
    if (this.idle.size <= MAX_IDLE || oldest === undefined || held === undefined) return;
    held.linger?.cancel();
    this.drop(oldest, held);
  }

  private drop(service: string, held: Held): void {
    this.idle.delete(service);
    this.views.delete(service);
    this.end(held);
  }

  private end(held: Held): void {
    const ended = held.view.close().finally(() => this.closing.delete(ended));
    this.closing.add(ended);
  }
}
