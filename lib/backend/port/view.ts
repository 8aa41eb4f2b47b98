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
