/** A timer that can be taken back. */
export interface Timer {
  cancel(): void;
}

/** Time as the library sees it; tests put a clock of their own in its place. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /**
   * Calls back once after `delayMs`. With `background` the timer alone doesn't keep the process alive.
   */
  setTimer(callback: () => void, delayMs: number, options?: { readonly background?: boolean }): Timer;
}
