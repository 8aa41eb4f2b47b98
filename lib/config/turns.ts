import { Turns } from '../backend/index.js';

/** Does a work of small steps; other work has its turn between two of them about every 10 ms. */
export async function inTurns<T>(work: Generator<void, T>): Promise<T> {
  const turns = new Turns();
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    const other = turns.next();
    if (other !== undefined) await other;
  }
}

/** Does a work of small steps without a pause. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
