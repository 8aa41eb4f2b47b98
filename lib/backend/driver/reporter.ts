/**
 * Keeps the promises that every `watch` makes about its `report`: never synchronously, never concurrently, never after
 * `close()` resolved, and a throwing receiver is isolated.
 */
export class Reporter<R> {
  private readonly queue: { readonly report: R; readonly delivered: () => void }[] = [];
  private closed = false;
  private draining: Promise<void> | undefined;

  /**
   * @param receive the receiver, which may throw
   * @param onError hears of what it threw
   */
  constructor(
    private readonly receive: (report: R) => void,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Delivers it soon, in order; resolves when that has happened, or when it was closed instead. */
  send(report: R): Promise<void> {
    if (this.closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.queue.push({ report, delivered: resolve });
      this.draining ??= Promise.resolve().then(() => this.drain());
    });
  }

  /** From now on nothing is delivered. */
  close(): void {
    this.closed = true;
    for (const entry of this.queue.splice(0)) entry.delivered();
  }

  private drain(): void {
    this.draining = undefined;
    for (let entry = this.queue.shift(); entry !== undefined; entry = this.queue.shift()) {
      try {
        if (!this.closed) this.receive(entry.report);
      } catch (error) {
        this.onError(error);
      }
      entry.delivered();
    }
  }
}
