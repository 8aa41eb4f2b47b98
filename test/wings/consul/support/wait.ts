import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until a condition holds; what it throws counts as "not yet". */
export async function until(condition: () => unknown, what: string, withinMs = 30_000): Promise<void> {
  const end = Date.now() + withinMs;
  for (;;) {
    let problem: unknown;
    try {
      if (await condition()) return;
    } catch (error) {
      problem = error;
    }
    if (Date.now() > end) throw new Error(`waited ${withinMs} ms in vain: ${what}`, { cause: problem });
    await sleep(20);
  }
}

let last = 0;

/** A name that no other test has used. */
export function fresh(prefix: string): string {
  return `${prefix}-${process.pid}-${Date.now().toString(36)}-${(last += 1)}`;
}
