/** How long a work goes on before other work has its turn, in milliseconds. */
const SLICE_MS = 10;

/** Lets other work have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A work of many small steps, or several of them side by side, that lets other work have its turn about every 10 ms. */
export class Turns {
  private sliceEnd = performance.now() + SLICE_MS;
  private waiting: Promise<void> | undefined;

  /** What to wait for before the next step; undefined, which costs nothing, as long as the work may go on. */
  next(): Promise<void> | undefined {
    if (this.waiting === undefined && performance.now() >= this.sliceEnd) {
      this.waiting = turn().then(() => {
        this.waiting = undefined;
        this.sliceEnd = performance.now() + SLICE_MS;
      });
    }
    return this.waiting;
  }
}
