import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach } from 'vitest';
import type { NacosClientOptions, NacosKeyProvider } from '../../../lib/backends/nacos/index.js';
import { nacosLogin } from '../../servers/products/nacos.js';
import type { RunningServer } from '../../servers/types.js';

export { freshName } from '../../contract/contract-harness.js';

/** Waits until `condition` holds; what it throws counts as "not yet". */
export async function until(condition: () => unknown, what: string, withinMs = 30_000): Promise<void> {
  const end = Date.now() + withinMs;
  let problem: unknown;
  for (;;) {
    try {
      // What resolves with false counts as "not yet" too.
      if ((await condition()) !== false) return;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
    if (Date.now() > end) throw new Error(`waited ${withinMs} ms in vain: ${what}`, { cause: problem });
    await delay(10);
  }
}

/** Watches for a while that `condition` holds all the time. */
export async function stays(condition: () => boolean, what: string, forMs = 400): Promise<void> {
  const end = Date.now() + forMs;
  while (Date.now() < end) {
    if (!condition()) throw new Error(`did not last: ${what}`);
    await delay(10);
  }
}

/** Things that are closed after each test, the last one first. */
export class Closing {
  private all: (() => unknown)[] = [];

  constructor() {
    afterEach(async () => {
      for (const close of this.all.splice(0).reverse()) await close();
    });
  }

  add<T extends { close(): Promise<unknown> }>(one: T): T {
    this.all.push(() => one.close());
    return one;
  }

  /** A folder of this test's own. */
  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-nacos-'));
    this.all.push(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }
}

/** Options of a client of `server`, through a proxy when its port is given. */
export function optionsFor(server: RunningServer, port = server.ports['http'] ?? server.port): NacosClientOptions {
  const { username, password } = server;
  return {
    serverAddresses: `127.0.0.1:${port}`,
    noSnapshot: true,
    ...(username === undefined || password === undefined ? {} : { username, password }),
  };
}

/** A key service of one process: the "encrypted" forms are only marked, which is all that a test needs. */
export function localKeys(): NacosKeyProvider {
  const wrap = (text: string): string => Buffer.from(`wrapped:${text}`).toString('base64');
  return {
    generateDataKey: (spec) => {
      const plaintext = Buffer.alloc(spec === 'AES_128' ? 16 : 32, 7).toString('base64');
      return Promise.resolve({ plaintext, ciphertext: wrap(plaintext) });
    },
    encrypt: (text) => Promise.resolve(wrap(text)),
    decrypt: (text) => Promise.resolve(Buffer.from(text, 'base64').toString('utf8').replace('wrapped:', '')),
  };
}

/** A token for requests of a test's own; '' where none is needed. */
export async function accessTokenOf({ url, username, password }: RunningServer): Promise<string> {
  return username === undefined || password === undefined ? '' : nacosLogin(url, { username, password });
}
