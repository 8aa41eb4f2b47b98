import { DiscoveryError, toDiscoveryError, type BackendState } from '../../model/index.js';
import { ValueView } from '../machinery/value-view.js';
import type { BackendContext } from '../port/backend.js';
import type { View } from '../port/view.js';
import { Host } from './host.js';

/**
 * What every backend does the same way: it is the host of its drivers, tells each state once, and may be opened and closed
 * twice. A product implements `start` and `stop`, says in `hooks` what only it knows of its health, and tells `health` how
 * its session fares, if it has one.
 */
export abstract class BackendBase extends Host {
  declare readonly context: BackendContext;
  private readonly stateView: ValueView<BackendState>;
  private opening: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  constructor(name: string, context: BackendContext) {
    super(name, context);
    this.stateView = new ValueView<BackendState>(Object.freeze({ phase: 'connecting' }), (error) =>
      context.report({ type: 'listener.failed', where: `state of ${name}`, error }),
    );
    // The first listener, so that events come in the order of the states, also when another listener sets one.
    this.stateView.subscribe((state) => context.report({ type: 'backend.state', backend: name, state }));
  }

  get state(): View<BackendState> {
    return this.stateView;
  }

  /** Loads packages and begins to connect, once, however often it is called; see {@link Backend.open}. */
  open(): Promise<void> {
    if (this.closing !== undefined) return Promise.reject(this.closedError());
    this.opening ??= (async () => {
      await this.start();
      this.health.start();
    })();
    return this.opening;
  }

  override close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  /** Loads packages and begins to connect, as {@link Backend.open} says. */
  protected abstract start(): Promise<void>;

  /**
   * Releases what the drivers stood on, after all that they had adopted was closed. Called once, also when `start` was
   * never called or failed.
   */
  protected abstract stop(): Promise<void>;

  protected override show(reason: DiscoveryError | undefined): void {
    if (reason === undefined) this.setReady();
    else this.setDegraded(reason);
  }

  protected setReady(): void {
    this.setState({ phase: 'ready' });
  }

  /** Tells that the registry doesn't answer; data that is known is still served. */
  protected setDegraded(error: unknown): void {
    const reason = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', undefined, { backend: this.name });
    this.setState({ phase: 'degraded', error: reason });
  }

  private async shutDown(): Promise<void> {
    this.seal();
    // What begins to open must have opened before it can be closed.
    await this.opening?.catch(() => {});
    try {
      await super.close();
      await this.stop();
    } finally {
      this.setState({ phase: 'closed' });
      this.stateView.close();
    }
  }

  private setState(state: BackendState): void {
    const { current } = this.stateView;
    if (current.phase === 'closed') return;
    if (current.phase === state.phase && current.error?.message === state.error?.message) return;
    this.stateView.set(Object.freeze(state));
  }
}
