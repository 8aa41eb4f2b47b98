import { assertName, DiscoveryError } from '../model/index.js';
import type { Timer } from '../backend/index.js';
import { ServiceView, type ServiceViewOptions } from './service-view.js';

/** What {@link ServiceViews} needs of its app. */
export interface ServiceViewsOptions extends ServiceViewOptions {
  /** An unused watch stays open this long, in milliseconds, so that one-shot reads don't open one each. */
  readonly lingerMs: number;
}

interface Held {
  readonly view: ServiceView;
  holders: number;
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
  private readonly closing = new Set<Promise<void>>();
  private closed = false;

  constructor(private readonly options: ServiceViewsOptions) {}

  /** Names of the services that are watched at present. */
  get watched(): readonly string[] {
    return [...this.views.keys()];
  }

  /**
   * Takes part in the view of a service, which opens its watches when it is the first to.
   * @throws DiscoveryError `INVALID_NAME`; `BACKEND_CLOSED` after `close()`
   */
  acquire(service: string): ViewLease {
    assertName(service, 'service');
    if (this.closed)
      throw new DiscoveryError('BACKEND_CLOSED', `${service} can't be watched: the app was closed`, { service });
    let held = this.views.get(service);
    if (held === undefined) {
      held = { view: new ServiceView(service, this.options), holders: 0, linger: undefined };
      this.views.set(service, held);
    }
    const mine = held;
    mine.holders += 1;
    mine.linger?.cancel();
    mine.linger = undefined;
    let released = false;
    return {
      view: mine.view,
      release: () => {
        if (released) return;
        released = true;
        mine.holders -= 1;
        if (mine.holders === 0 && !this.closed) this.lingerOn(service, mine);
      },
    };
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
    await Promise.all(this.closing);
  }

  private lingerOn(service: string, held: Held): void {
    held.linger = this.options.clock.setTimer(
      () => {
        this.views.delete(service);
        this.end(held);
      },
      this.options.lingerMs,
      { background: true },
    );
  }

  private end(held: Held): void {
    const ended = held.view.close().finally(() => this.closing.delete(ended));
    this.closing.add(ended);
  }
}
