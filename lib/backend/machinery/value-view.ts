import type { Unsubscribe, View } from '../port/view.js';

interface Listener<T> {
  readonly call: (value: T) => void;
}

/** A {@link View} that its owner can set. */
export class ValueView<T> implements View<T> {
  private value: T;
  private readonly listeners = new Set<Listener<T>>();
  private readonly queue: { readonly value: T; readonly listening: readonly Listener<T>[] }[] = [];
  private emitting = false;

  /** @param onListenerError hears of what a listener threw */
  constructor(
    initial: T,
    private readonly onListenerError: (error: unknown) => void = () => {},
  ) {
    this.value = initial;
  }

  get current(): T {
    return this.value;
  }

  /** How many listen at this moment. */
  get listenerCount(): number {
    return this.listeners.size;
  }

  subscribe(listener: (value: T) => void): Unsubscribe {
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const entry = { call: listener };
    this.listeners.add(entry);
    return () => {
      this.listeners.delete(entry);
    };
  }

  /** Sets the value and tells everybody, unless it is the very value it was. */
  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    // A copy of the listeners of this moment: who subscribes before it is delivered hears of the next value, not of this.
    this.queue.push({ value, listening: Array.from(this.listeners) });
    if (this.emitting) return;
    this.emitting = true;
    try {
      for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
        this.emit(next.value, next.listening);
      }
    } finally {
      this.emitting = false;
    }
  }

  /** Forgets every listener. */
  close(): void {
    this.listeners.clear();
  }

  private emit(value: T, listening: readonly Listener<T>[]): void {
    for (const entry of listening) {
      if (!this.listeners.has(entry)) continue;
      try {
        entry.call(value);
      } catch (error) {
        this.onListenerError(error);
      }
    }
  }
}
