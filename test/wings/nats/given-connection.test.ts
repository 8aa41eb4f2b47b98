import { connect as connectV3 } from '@nats-io/transport-node';
import { connect as connectV2 } from 'nats';
import { expect, it } from 'vitest';
import { nats, NatsClient, type NatsConnection } from '../../../lib/backends/nats/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext, registrationOf } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh, Opened } from './support.js';

const libraries: readonly [string, (url: string) => Promise<NatsConnection>][] = [
  ['nats', (servers) => connectV2({ servers, reconnectTimeWait: 50, reconnectJitter: 0, maxReconnectAttempts: -1 })],
  ['@nats-io/transport-node', (servers) => connectV3({ servers, reconnectTimeWait: 50, maxReconnectAttempts: -1 })],
];

withServer('nats', {}, (server) => {
  const opened = new Opened();

  for (const [library, connect] of libraries) {
    for (const mode of ['key-value', 'services'] as const) {
      it(`a connection of the app's own, made by ${library}, presence ${mode}`, async () => {
        const proxy = await server.proxy();
        const connection = await connect(proxy.url);
        opened.closing(() => connection.close());
        const events: DiscoveryEvent[] = [];
        const backend = nats({
          connection,
          presence: { mode, bucket: fresh('p'), leaseMs: 3000 },
          config: { bucket: fresh('c') },
          rounds: { intervalMs: 100, stallMs: 50 },
          heartbeatMs: 300,
        }).create(createContext(events));
        opened.closing(() => backend.close());
        await backend.open();
        await expect.poll(() => backend.state.current.phase).toBe('ready');
        const registration = registrationOf();
        await backend.registry?.register(registration).registered;
        const lengths: (number | undefined)[] = [];
        backend.discovery?.watch(registration.service, ({ instances }) => lengths.push(instances?.length));
        await expect.poll(() => lengths.at(-1)).toBe(1);
        const revision = await backend.config?.publish('a.yaml', 'a: 1');
        expect(await backend.config?.read('a.yaml')).toMatchObject({ revision });
        await proxy.drop();
        await expect.poll(() => backend.state.current.phase, { timeout: 5000 }).toBe('degraded');
        await proxy.heal();
        await expect
          .poll(() => [backend.state.current.phase, lengths.at(-1)], { timeout: 10_000 })
          .toEqual(['ready', 1]);
        await backend.close();
        // Left alone, and nothing of ours on it any more.
        expect(connection.isClosed()).toBe(false);
        await connection.flush();
        const client = await opened.client(server.url);
        expect(await client.queries().ping({ name: registration.service, maxWaitMs: 500 })).toEqual([]);
      });
    }

    it(`closed by the app: degraded for good, made by ${library}`, async () => {
      const connection = await connect(server.url);
      const client = new NatsClient({ connection });
      await client.connect();
      const backend = nats({ connection }).create(createContext([]));
      await backend.open();
      await expect.poll(() => backend.state.current.phase).toBe('ready');
      await connection.close();
      await expect
        .poll(() => backend.state.current)
        .toMatchObject({
          phase: 'degraded',
          error: { code: 'BACKEND_UNAVAILABLE', message: expect.stringContaining('the app has closed') as string },
        });
      await expect(client.queries().ping()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      await backend.close();
      await client.close();
    });
  }
});
