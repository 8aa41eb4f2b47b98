import { afterAll, beforeAll, describe, inject, it } from 'vitest';
import { askControl } from './control.js';
import { type Acquired, remoteServer, ServerPool } from './pool.js';
import { skipTitle } from './reporter.js';
import {
  type ProductName,
  type Provision,
  type RunningServer,
  type ServerInfo,
  type Settings,
  type Variant,
  variants,
} from './types.js';

/** Which server a suite wants. */
export interface ServerOptions<P extends ProductName = ProductName> {
  /** @default the product's first variant in `types.ts` */
  readonly variant?: Variant<P>;
  /**
   * A server of this suite's own, which it may stop, pause, restart and fill with anything. It costs a start; the shared
   * one costs nothing but consideration: suites use names of their own in it.
   * @default false, and true with `settings`
   */
  readonly private?: boolean;
  /** Server settings beside or instead of ours, in the product's own words; makes the server private. */
  readonly settings?: Settings;
}

// Used when vitest runs without our global setup: then each worker has shared servers of its own.
const pool = new ServerPool();

// A worker whose runner was killed has nobody to report to; as long as it lived, so would its servers.
if (process.send) process.once('disconnect', () => process.exit(1));

/** Whether a server that can't be had fails the run. */
function required(): boolean {
  return process.env['REQUIRE_SERVERS'] === '1';
}

interface Question {
  readonly product: ProductName;
  readonly variant: string;
  readonly isDefault: boolean;
  readonly own: boolean;
}

function questionOf<P extends ProductName>(product: P, options: ServerOptions<P>): Question {
  const [first] = variants[product];
  const variant = options.variant ?? first;
  return { product, variant, isDefault: variant === first, own: options.private ?? options.settings !== undefined };
}

/** Port of the runner's pool; undefined without our global setup. */
function controlPort(): string | undefined {
  return inject('testServers');
}

/** Whether the server can be had. The runner finds out, and builds if need be, once for all workers. */
async function provision(question: Question): Promise<Provision> {
  const { product, variant, isDefault, own } = question;
  if (!own && isDefault && pool.hasAddress(product)) return { available: true, source: 'the environment' };
  const control = controlPort();
  return control ? askControl<Provision>(control, { ask: 'provision', ...question }) : pool.provision(product, variant);
}

/**
 * Gives a server, or the reason why there is none. The caller ends a private one with `dispose()`; what is forgotten ends
 * with this process. Prefer {@link withServer}.
 */
export async function acquireServer<P extends ProductName>(
  product: P,
  options: ServerOptions<P> = {},
): Promise<Acquired<RunningServer>> {
  const question = questionOf(product, options);
  const available = await provision(question);
  if (!available.available) return available;
  if (question.own) return pool.start(product, question.variant, options.settings);
  const control = controlPort();
  if (control) {
    const acquired = await askControl<Acquired<ServerInfo>>(control, { ask: 'share', ...question });
    return acquired.available ? { available: true, server: remoteServer(acquired.server) } : acquired;
  }
  const acquired = await pool.share(product, question.variant, question.isDefault);
  // What is shared is handed out without the means to hurt it, here too.
  return acquired.available ? { available: true, server: remoteServer(acquired.server.describe()) } : acquired;
}

/**
 * A `describe` whose tests need a real server. It is started when the first of the tests is about to run, so `server` is
 * for hooks and tests, not for the body itself. If it can't be had the suite is one skipped test that says why, or with
 * `REQUIRE_SERVERS=1` a failing one.
 *
 * ```ts
 * withServer('consul', { variant: 'acl', private: true }, (server) => {
 *   it('registers', async () => { await fetch(server.url, ...) });
 * });
 * ```
 */
export function withServer<P extends ProductName>(
  product: P,
  options: ServerOptions<P>,
  body: (server: RunningServer) => void | Promise<void>,
): void {
  const question = questionOf(product, options);
  const name = `${product}:${question.variant}`;
  describe(name, async () => {
    const available = await provision(question);
    if (!available.available) {
      standIn(name, available.reason);
      return;
    }
    let server: RunningServer | undefined;
    beforeAll(async () => {
      const acquired = await acquireServer(product, options);
      if (!acquired.available) throw new Error(acquired.reason);
      server = acquired.server;
    }, 600_000);
    afterAll(() => server?.dispose(), 60_000);
    await body(
      lateServer(() => {
        if (!server) throw new Error(`${name} runs in hooks and tests, not yet while tests are collected`);
        return server;
      }),
    );
  });
}

/**
 * What the suite consists of when what it needs can't be had.
 *
 * @param what it lacks, for the title of the test that fails
 */
export function standIn(name: string, reason: string, what = 'server'): void {
  if (!required()) {
    it.skip(skipTitle(name, reason), () => undefined);
    return;
  }
  it(`has its ${what}`, () => {
    throw new Error(`${name} can't be had, and REQUIRE_SERVERS=1: ${reason}`);
  });
}

/** A server that is looked up on every use, for it starts after those who use it are written down. */
function lateServer(current: () => RunningServer): RunningServer {
  return new Proxy({} as RunningServer, {
    get: (_, key) => Reflect.get(current(), key) as unknown,
    has: (_, key) => Reflect.has(current(), key),
    ownKeys: () => Reflect.ownKeys(current()),
    getOwnPropertyDescriptor: (_, key) => ({ ...Reflect.getOwnPropertyDescriptor(current(), key), configurable: true }),
  });
}
