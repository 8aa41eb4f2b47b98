import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../lib/testing/index.js';
import { httpServer } from '../transport/support.js';
import { node, refusing, reset, service, type Service } from './support.js';

const messageOf = async (call: Promise<unknown>): Promise<string> => {
  const error: unknown = await call.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  return (error as Error).message;
};

const get = ({ runtime }: Service, url: string): Promise<string> =>
  messageOf(runtime.unboundClient().axiosRef.get(url));

describe('nobody to call', () => {
  it('is explained by what is wrong with each instance, and by the age of the list', async () => {
    const clock = new ManualClock();
    const stock = await service([], {}, clock);
    stock.registry.addInstance('STOCK', { port: 1, weight: 0 });
    stock.registry.addInstance('STOCK', { port: 2, status: 'DOWN' });
    stock.registry.addInstance('STOCK', { port: 3, scheme: 'grpc' });
    await expect.poll(async () => (await stock.runtime.discovery.getInstances('STOCK', { all: true })).length).toBe(3);
    await clock.advance(12_000);
    const message = await get(stock, 'lb://STOCK');
    expect(message).toContain('http://127.0.0.1:1 is UP with weight 0, which takes no calls');
    expect(message).toContain('http://127.0.0.1:2 is DOWN');
    expect(message).toContain('grpc://127.0.0.1:3 speaks grpc, not http or https');
    expect(message).toContain('said 12 s ago');
    expect(await messageOf(stock.runtime.discovery.choose('NOBODY'))).toMatch(/none is registered \(said 0 s ago/);
  });

  it('is explained by the metadata that was asked for', async () => {
    const one = await node();
    const stock = await service([one], { http: { routing: { metadata: { version: '2' } } } });
    const problem = `${one.url} has version undefined, where routing.metadata wants '2'`;
    expect(await get(stock, 'lb://STOCK')).toContain(problem);
    expect(await messageOf(stock.runtime.discovery.pick('STOCK'))).toContain(problem);
  });

  it('is explained by a name that differs in case', async () => {
    const stock = await service([await node()]);
    for (const message of [
      await get(stock, 'lb://stock/x'),
      await messageOf(stock.runtime.discovery.pick('stock')),
      await messageOf(stock.runtime.discovery.choose('stock')),
    ]) {
      expect(message).toMatch(/none is registered.*There is STOCK: names are told apart by case/);
    }
    expect(await get(stock, 'lb://OTHER')).not.toContain('There is');
  });
});

describe('an address', () => {
  it.each(['/x', 'x/y?secret=1', ''])('without a service is explained: %j', async (url) => {
    const { client, runtime } = await service([await node()]);
    const call = runtime.unboundClient().axiosRef.get(url);
    await expect(call).rejects.toMatchObject({ code: 'ERR_INVALID_URL' });
    const message = await messageOf(call);
    expect(message).toContain('lb://SERVICE/path');
    expect(message).not.toContain('secret');
    expect((await client.axiosRef.get('/x')).status).toBe(200);
  });
});

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'calls that fail through $transport',
  (transport) => {
    it('tell the service, how many were tried, and why each failed', async () => {
      const members = [await refusing(), await refusing()];
      const stock = await service(members, { ...transport, http: { ejection: false } });
      const message = await get(stock, 'lb://STOCK');
      expect(message).toMatch(/^connect ECONNREFUSED/);
      expect(message).toContain('all of 2 instances of STOCK failed');
      for (const { url, port } of members) expect(message).toContain(`${url}: connect ECONNREFUSED 127.0.0.1:${port}`);
      const some = await service([...members, await refusing()], {
        ...transport,
        http: { ejection: false, maxAttempts: 2 },
      });
      expect(await get(some, 'lb://STOCK')).toContain('2 of 3 instances of STOCK failed');
      const one = await service([await node(reset)], transport);
      expect(await get(one, 'lb://STOCK')).toMatch(/^socket hang up - the only instance of STOCK failed/);
    });

    it('since a port speaks something else say so', async () => {
      const plain = await node();
      const stock = await service([], { ...transport, http: { ejection: false } });
      stock.add(plain, { scheme: 'https' });
      await stock.knows(plain);
      const message = await get(stock, 'lb://STOCK');
      expect(message).toContain(
        `https://127.0.0.1:${plain.port}: it is registered as https, and its port speaks no TLS`,
      );
      expect(message.split('\n')).toHaveLength(1);
      const strange = await httpServer(
        () => {},
        (server) => server.on('connection', (socket) => socket.end('SSH-2.0-OpenSSH\r\n')),
      );
      stock.registry.addInstance('SHELL', { port: strange.port });
      expect(await get(stock, 'lb://SHELL')).toContain('it is registered as http, and its port answers no HTTP');
      await strange.close();
    });
  },
);
