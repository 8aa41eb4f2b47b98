import { Agent as HttpAgent, request, type Agent } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import type { InMemoryRegistry } from '../../lib/testing/index.js';
import { portOf } from './support.js';

/** Calls to an app's `/quote`, and how they ended. */
export interface Load {
  readonly statuses: Map<number | string, number>;
  stop(): Promise<void>;
}

/** Calls the app as a discovering client does: for as long as it is registered, and a little longer. */
export function load(app: INestApplication, registry: InMemoryRegistry, lagMs: number): Load {
  const statuses = new Map<number | string, number>();
  const port = portOf(app);
  const agent = new HttpAgent({ keepAlive: true });
  let stopped = false;
  const loop = (async () => {
    let goneAt: number | undefined;
    while (!stopped) {
      if (registry.instancesOf('STOCK').length === 0) goneAt ??= Date.now();
      if (goneAt !== undefined && Date.now() - goneAt > lagMs) break;
      const outcome = await call(port, agent);
      statuses.set(outcome, (statuses.get(outcome) ?? 0) + 1);
    }
  })();
  return {
    statuses,
    async stop() {
      stopped = true;
      await loop;
      agent.destroy();
    },
  };
}

function call(port: number, agent: Agent): Promise<number | string> {
  return new Promise((resolve) => {
    const outgoing = request({ port, host: '127.0.0.1', path: '/quote', agent }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    outgoing.end();
  });
}
