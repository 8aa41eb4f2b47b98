import { DiscoveryError, toDiscoveryError, type BackendState } from '../../model/index.js';
import type { BackendContext } from '../port/backend.js';
import { ValueView } from '../machinery/value-view.js';
import type { View } from '../port/view.js';

/**
 * What every backend does the same way: states that are told once, opening and closing that may be called twice.
 * A product implements `start` and `stop`, and calls `setReady` and `setDegraded`.
 */
export abstract class BackendBase {
  private readonly stateView: ValueView<BackendState>;
  private opening: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  constructor(
    readonly name: string,
    protected readonly context: BackendContext,
  ) {
    this.stateView = new ValueView<BackendState>(Object.freeze({ phase: 'connecting' }), (error) =>
      context.report({ type: 'listener.failed', where: `state of ${name}`, error }),
    );
    // The first listener, so that events come in the order of the states, also when another listener sets one.
    this.stateView.subscribe((state) => context.report({ type: 'backend.state', backend: name, state }));
  }

  get state(): View<BackendState> {
    return this.stateView;
  }

  open(): Promise<void> {
    if (this.closing !== undefined) return Promise.reject(this.closedError());
    this.opening ??= (async () => this.start())();
    return this.opening;
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  /** Loads packages and begins to connect, as {@link Backend.open} says. */
  protected abstract start(): Promise<void>;

  /** Releases everything; called once, also when `start` was never called or failed. */
  protected abstract stop(): Promise<void>;

  /** @throws DiscoveryError `BACKEND_CLOSED` after `close()` was called */
  protected assertOpen(): void {
    if (this.closing !== undefined) throw this.closedError();
  }

  protected setReady(): void {
    this.setState({ phase: 'ready' });
  }

  /** Tells that the registry doesn't answer; data that is known is still served. */
  protected setDegraded(error: unknown): void {
    const reason = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.name} doesn't answer`, {
      backend: this.name,
    });
    this.setState({ phase: 'degraded', error: reason });
  }

  private async shutDown(): Promise<void> {
    // What begins to open must have opened before it can be closed.
    await this.opening?.catch(() => {});
    try {
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

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', `the backend ${this.name} was closed`, { backend: this.name });
  }
}
