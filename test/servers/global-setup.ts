import type { TestProject } from 'vitest/node';
import { ControlServer } from './control.js';
import { ServerPool } from './pool.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Port of the process that owns the servers which suites share. */
    testServers: string;
  }
}

interface Owner {
  users: number;
  readonly pool: ServerPool;
  readonly control: Promise<ControlServer>;
}

// Each project of a vitest run calls this setup, and each may have loaded its own copy of this module; the servers are
// the process's.
const key = Symbol.for('nestjs-service-discovery.test-servers');
const holder = globalThis as { [key]?: Owner };

/** Vitest's global setup: opens the door for workers to ask for shared servers, which are started on the first question. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (!holder[key]) {
    const pool = new ServerPool();
    holder[key] = { users: 0, pool, control: ControlServer.open(pool) };
  }
  const owner = holder[key];
  owner.users++;
  project.provide('testServers', (await owner.control).address);
  return async () => {
    if (--owner.users > 0) return;
    delete holder[key];
    await (await owner.control).close();
    await owner.pool.end();
  };
}
