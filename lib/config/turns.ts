/** How long a work goes on before other work has its turn, in milliseconds. */
const SLICE_MS = 10;

/** Lets other work have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Does a work of small steps; other work has its turn between two of them about every 10 ms. */
export async function inTurns<T>(work: Generator<void, T>): Promise<T> {
  let sliceEnd = performance.now() + SLICE_MS;
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (performance.now() < sliceEnd) continue;
    await turn();
    sliceEnd = performance.now() + SLICE_MS;
  }
}

/** Does a work of small steps without a pause. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
