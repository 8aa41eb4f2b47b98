import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificate } from '../transport/certificate.js';
import { node, seen, service } from './support.js';

const pair = certificate();

describe.skipIf(pair === undefined).each(['undici', 'axios'] as const)('through %s (needs openssl)', (client) => {
  let server: Server;
  let hits = 0;

  beforeAll(async () => {
    server = createServer({ ...pair }, (_, response) => {
      hits += 1;
      response.end('"secret"');
    }).listen(0);
    await once(server, 'listening');
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const port = (): number => (server.address() as AddressInfo).port;

  it('an instance is called by its own scheme', async () => {
    const plain = await node();
    const stock = await service([plain], { transport: { client, tls: { ca: pair?.cert } } });
    stock.registry.addInstance('STOCK', { host: 'localhost', port: port(), scheme: 'https' });
    await expect.poll(() => stock.runtime.discovery.getInstances('STOCK')).toHaveLength(2);
    const answers = [await stock.client.axiosRef.get<unknown>('/'), await stock.client.axiosRef.get<unknown>('/')];
    expect(answers.map(({ data }) => data)).toContain('secret');
    expect(seen(plain)).toEqual([1]);
  });

  it('a handshake that fails has sent nothing: a POST goes to the next instance', async () => {
    const plain = await node();
    const retry = { budgetShare: 0, budgetPerSecond: 0 };
    const stock = await service([plain], { transport: { client }, http: { retry, ejection: false } });
    stock.registry.addInstance('STOCK', { host: 'localhost', port: port(), scheme: 'https' });
    await expect.poll(() => stock.runtime.discovery.getInstances('STOCK')).toHaveLength(2);
    hits = 0;
    for (let i = 0; i < 4; i += 1) await stock.client.axiosRef.post('/', {});
    expect(seen(plain)).toEqual([4]);
    expect(hits).toBe(0);
  });
});
