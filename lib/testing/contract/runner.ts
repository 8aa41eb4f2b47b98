import { Contract, type ContractHarness, type ContractTiming } from './contract.js';

/** What a value is compared with. `R` is a promise after `rejects`. */
export interface Expectation<R = void> {
  readonly not: Expectation<R>;
  readonly rejects: Expectation<Promise<void>>;
  toBe(expected: unknown): R;
  toBeDefined(): R;
  toBeGreaterThan(expected: number): R;
  toBeTruthy(): R;
  toBeUndefined(): R;
  toContain(expected: unknown): R;
  toContainEqual(expected: unknown): R;
  toEqual(expected: unknown): R;
  toHaveLength(expected: number): R;
  toMatchObject(expected: object): R;
  toThrow(expected?: unknown): R;
}

/**
 * The part of a test runner that the suites use: vitest's module as it is, or Jest's (`@jest/globals`). The
 * package depends on neither.
 */
export interface ContractRunner {
  describe(name: string, body: () => void): unknown;
  /** Vitest hands a context to `run`, with which a test skips itself; without one, what doesn't apply passes. */
  it(name: string, run: (...context: readonly unknown[]) => Promise<void>, timeoutMs: number): unknown;
  beforeAll(run: () => Promise<void>, timeoutMs: number): unknown;
  afterAll(run: () => Promise<void>, timeoutMs: number): unknown;
  afterEach(run: () => Promise<void>): unknown;
  readonly expect: ((value: unknown, message?: string) => Expectation) & { objectContaining(fields: object): unknown };
}

/** Ends a test that doesn't apply to the product. */
export interface Skip {
  (why: string): never;
  (applies: boolean, why: string): void;
}

/** Defines a test of a suite. */
export type ContractTest = (what: string, run: (context: { readonly skip: Skip }) => Promise<void>) => void;

class SkippedError extends Error {}

/** One suite: its harness is made before the first test, and what a test opened is closed after it. */
export function describeSuite(
  runner: ContractRunner,
  title: string,
  createHarness: () => Promise<ContractHarness>,
  timing: ContractTiming,
  body: (contract: Contract, test: ContractTest) => void,
): void {
  runner.describe(title, () => {
    const contract = new Contract(createHarness, timing);
    const limit = (contract.patienceMs + contract.expiryMs) * 3 + contract.quietMs * 3;
    runner.beforeAll(() => contract.setUp(), limit);
    runner.afterAll(() => contract.tearDown(), limit);
    runner.afterEach(() => contract.cleanUp());
    // By rest parameters: Jest takes a declared one for a callback.
    body(contract, (what, run) => void runner.it(what, (...context) => runSkippable(run, context[0]), limit));
  });
}

async function runSkippable(run: Parameters<ContractTest>[1], context: unknown): Promise<void> {
  const own = context as { readonly skip?: (why: string) => unknown } | undefined;
  const skip = (given: boolean | string, why?: string): void => {
    if (given === false) return;
    own?.skip?.(why ?? String(given));
    throw new SkippedError(why);
  };
  try {
    await run({ skip: skip as Skip });
  } catch (error) {
    if (!(error instanceof SkippedError)) throw error;
  }
}
