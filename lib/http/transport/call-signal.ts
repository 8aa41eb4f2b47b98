import type { GenericAbortSignal } from 'axios';

/**
 * What axios needs of an `AbortSignal`, at a tenth of the price: for calls that are ended by the one who made them.
 * Works wherever axios takes a signal.
 */
export class CallSignal implements GenericAbortSignal {
  aborted = false;
  private listeners: (() => void)[] | undefined;

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.listeners === undefined) this.listeners = [listener];
    else this.listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.listeners?.indexOf(listener) ?? -1;
    if (at !== -1) this.listeners?.splice(at, 1);
  }

  /** Ends what listens; once. */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    const { listeners } = this;
    this.listeners = undefined;
    for (const listener of listeners ?? []) listener();
  }
}
