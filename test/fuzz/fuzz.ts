import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { DiscoveryError } from '../../lib/model/index.js';
import type { Target } from './targets.js';

/** More time of the processor than this for one input is a hang. */
const HANG_MS = 100;

/** What was found: an input that did what none may. */
export interface Find {
  readonly target: string;
  readonly problem: string;
  readonly seed: number;
  readonly path: string;
  readonly input: string;
}

/**
 * Gives a target as many inputs as told. Each may be refused by a `DiscoveryError`; it may not throw anything else, take
 * long, or change what all objects have.
 */
export async function fuzz(target: Target, seed: number, numRuns: number): Promise<Find | undefined> {
  const property = fc.asyncProperty(target.input, async (input) => {
    const problem = await problemWith(target, input);
    if (problem !== undefined) throw new Error(problem);
  });
  const result = await fc.check(property, { seed, numRuns, endOnFailure: false });
  if (!result.failed) return undefined;
  return {
    target: target.name,
    problem: result.errorInstance instanceof Error ? result.errorInstance.message : 'failed',
    seed: result.seed,
    path: result.counterexamplePath ?? '',
    input: fc.stringify(result.counterexample?.[0]).slice(0, 2000),
  };
}

async function problemWith(target: Target, input: unknown): Promise<string | undefined> {
  const began = process.cpuUsage();
  let problem: string | undefined;
  try {
    await target.run(input);
  } catch (error) {
    if (!(error instanceof DiscoveryError) && target.refuses?.(error) !== true)
      problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const { user, system } = process.cpuUsage(began);
  const ms = (user + system) / 1000;
  // Once may be the garbage collector's time, or that of a module that is loaded.
  if (ms > HANG_MS && (await leastMs(target, input)) > HANG_MS) problem ??= `takes ${Math.round(ms)} ms`;
  return problem ?? pollution();
}

async function leastMs(target: Target, input: unknown): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 5; i += 1) {
    await sleep(1);
    const began = process.cpuUsage();
    try {
      await target.run(input);
    } catch {
      // Of interest is the time only.
    }
    const { user, system } = process.cpuUsage(began);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Map.prototype];
const before = PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length);

function pollution(): string | undefined {
  const at = PROTOTYPES.findIndex((prototype, index) => Reflect.ownKeys(prototype).length !== before[index]);
  return at === -1
    ? undefined
    : `a prototype has other properties than before: ${Reflect.ownKeys(PROTOTYPES[at] ?? {})
        .map(String)
        .join(', ')}`;
}
