/** Takes a value back out of a list of listeners. Calling it again does nothing. */
export type Unsubscribe = () => void;

/** A current value, and those who want to hear of the next ones. */
export interface View<T> {
  /** The newest value. */
  readonly current: T;
  /**
   * Calls `listener` for every value after this moment, in order. A listener that throws is reported and hurts nobody.
   * A value set from within a listener is delivered after the present one has reached every listener.
   */
  subscribe(listener: (value: T) => void): Unsubscribe;
}

/** A {@link View} that its owner can set. */
export class ValueView<T> implements View<T> {
  private value: T;
  private readonly listeners = new Set<{ readonly call: (value: T) => void }>();
  private readonly queue: T[] = [];
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
    this.queue.push(value);
    if (this.emitting) return;
    this.emitting = true;
    try {
      while (this.queue.length > 0) this.emit(this.queue.shift() as T);
    } finally {
      this.emitting = false;
    }
  }

  /** Forgets every listener. */
  close(): void {
    this.listeners.clear();
  }

  private emit(value: T): void {
    // A copy: who subscribes from within a listener hears of the next value, not of this one.
    const listening = Array.from(this.listeners);
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
