import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ZooKeeperClient } from '../../../lib/backends/zookeeper/index.js';

it('any number of operations may wait for a connection, without a warning of listeners', async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', onWarning);
  // Never opened: nobody connects it.
  const client = new ZooKeeperClient({ servers: '127.0.0.1:1', requestTimeoutMs: 60_000 });
  const waiting = Array.from({ length: 50 }, () => client.exists('/a').catch((error: unknown) => error));
  await turn();
  await client.close();
  for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: 'BACKEND_CLOSED' });
  await turn();
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
