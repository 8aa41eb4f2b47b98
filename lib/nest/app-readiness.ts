import { ValueView, type View } from '../backend/index.js';

/** Whether the app may take traffic, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  /** It is shutting down: it won't be ready again. */
  readonly stopping: boolean;
}

/** What keeps an app from being ready, asked whenever something may have changed. */
export class AppReadiness {
  private readonly state = new ValueView<Readiness>({ ready: false, reasons: ['it is starting'], stopping: false });
  private phase: 'starting' | 'started' | 'stopping' = 'starting';

  /** @param reasons what stands against it while the app runs */
  constructor(private readonly reasons: () => readonly string[]) {}

  /** The newest answer, told when it changes. */
  get view(): View<Readiness> {
    return this.state;
  }

  /** The answer at this moment. */
  get current(): Readiness {
    this.check();
    return this.state.current;
  }

  started(): void {
    if (this.phase === 'starting') this.phase = 'started';
    this.check();
  }

  stopping(): void {
    this.phase = 'stopping';
    this.check();
  }

  /** Something may have changed. */
  readonly check = (): void => {
    const reasons = this.now();
    const { current } = this.state;
    if (current.reasons.join('\n') === reasons.join('\n')) return;
    const stopping = this.phase === 'stopping';
    this.state.set(Object.freeze({ ready: reasons.length === 0, reasons: Object.freeze(reasons), stopping }));
  };

  private now(): readonly string[] {
    if (this.phase === 'starting') return ['it is starting'];
    if (this.phase === 'stopping') return ['it is shutting down'];
    return this.reasons();
  }
}
