import { describe, expect, it } from 'vitest';
import {
  NacosClient,
  NacosHttpClient,
  type NacosClientOptions,
  type NacosInstance,
} from '../../../lib/backends/nacos/index.js';
import { silentLogger } from '../../../lib/backend/index.js';
import { withServer } from '../../servers/for-tests.js';
import type { NodeProxy } from '../../servers/types.js';
import { Closing, freshName, optionsFor, stays, until } from './support.js';

withServer('nacos', { variant: 'open', private: true }, (server) => {
  const closing = new Closing();
  const open = async (proxy?: NodeProxy, more: Partial<NacosClientOptions> = {}): Promise<NacosClient> => {
    const client = closing.add(new NacosClient({ ...optionsFor(server, proxy?.ports['http']), ...more }));
    await client.start();
    return client;
  };
  /** A client with something of everything, and what it hears. */
  const busy = async (proxy?: NodeProxy, more: Partial<NacosClientOptions> = {}) => {
    const client = await open(proxy, more);
    const [mine, other] = [freshName('mine'), freshName('other')];
    const dataId = freshName('doc');
    const heard: number[][] = [];
    const contents: (string | undefined)[] = [];
    await client.naming.registerInstance({ serviceName: mine, ip: '1.1.1.1', port: 1 });
    await client.naming.registerInstance({ serviceName: mine, ip: '1.1.1.1', port: 2 });
    await client.naming.subscribe({
      serviceName: other,
      listener: (list: readonly NacosInstance[]) => void heard.push(list.map((one) => one.port)),
    });
    await client.config.addListener(dataId, undefined, (_tenant, _id, _group, content) => void contents.push(content));
    return { client, mine, other, dataId, heard, contents };
  };
  const count = async (client: NacosClient, serviceName: string): Promise<number> =>
    (await client.naming.getService({ serviceName })).hosts.length;

  it('killed and restarted: registrations, subscriptions and listeners come back by themselves', async () => {
    const { client, mine, other, dataId, heard, contents } = await busy();
    await server.restart();
    const judge = await open();
    await until(async () => (await count(judge, mine)) === 2, 'both registrations are back', 30_000);
    await until(() => client.naming.serverHealth(), 'it says so');
    await judge.naming.registerInstance({ serviceName: other, ip: '2.2.2.2', port: 5 });
    await until(() => heard.at(-1)?.[0] === 5, 'the subscription hears again');
    await judge.config.publishConfig({ dataId, content: 'after the restart' });
    await until(() => contents.at(-1) === 'after the restart', 'the listener hears again');
  }, 120_000);

  it('cut off: what changed meanwhile is heard afterwards, what was taken back meanwhile stays away', async () => {
    const proxy = await server.proxy();
    const { client, mine, other, dataId, heard, contents } = await busy(proxy);
    const judge = await open();
    await proxy.drop();
    await until(() => !client.naming.serverHealth(), 'it is noticed');
    await judge.config.publishConfig({ dataId, content: 'while away' });
    await judge.naming.registerInstance({ serviceName: other, ip: '2.2.2.2', port: 6 });
    await client.naming.deregisterInstance({ serviceName: mine, ip: '1.1.1.1', port: 1 }).catch(() => {});
    await expect(client.config.getConfig({ dataId })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    expect(contents).toEqual([]);
    await proxy.heal();
    await until(() => client.naming.serverHealth(), 'it is connected again');
    await until(() => contents.at(-1) === 'while away', 'the configuration is heard');
    await until(() => heard.at(-1)?.[0] === 6, 'the service is heard');
    await until(async () => (await count(judge, mine)) === 1, 'the registration is back');
    const { hosts } = await judge.naming.getService({ serviceName: mine });
    expect(hosts.map((host) => host.port)).toEqual([2]);
  });

  for (const [what, hurt] of [
    ['half-open, the server gone without a word', (proxy: NodeProxy) => proxy.halfOpen('server')],
    ['reset', (proxy: NodeProxy) => proxy.reset()],
    ['swallowing everything', (proxy: NodeProxy) => proxy.blackhole()],
  ] as const) {
    it(`a connection that is ${what}: noticed by the probe, replaced, everything done again`, async () => {
      const proxy = await server.proxy();
      const { client, mine, dataId, contents } = await busy(proxy, { healthCheckMs: 1000, requestTimeoutMs: 1000 });
      const judge = await open();
      await until(async () => (await count(judge, mine)) === 2, 'both are registered');
      const { epoch } = client.parts.rpc;
      hurt(proxy);
      await judge.config.publishConfig({ dataId, content: 'meanwhile' });
      if (what.startsWith('swallowing')) {
        await until(() => !client.naming.serverHealth(), 'it is noticed');
        await proxy.heal({ resetHeld: true });
      }
      await until(() => client.parts.rpc.epoch > epoch, 'there is another connection');
      await until(() => contents.at(-1) === 'meanwhile', 'what was missed is heard');
      await until(async () => (await count(judge, mine)) === 2, 'both are registered');
    });
  }

  it("a half-open connection is noticed by HTTP/2's own pings, too, when they are the first", async () => {
    const proxy = await server.proxy();
    const lost: string[] = [];
    const logger = { ...silentLogger, debug: (line: string) => void lost.push(line) };
    const { client, mine } = await busy(proxy, {
      // The health checks keep the server from minding the pings, but are slow to give up.
      ...{ healthCheckMs: 1000, requestTimeoutMs: 20_000, grpc: { keepAliveMs: 1000, keepAliveTimeoutMs: 500 } },
      ...{ logger, logLevel: 'debug' },
    });
    const judge = await open();
    const { epoch } = client.parts.rpc;
    proxy.halfOpen('server');
    await until(() => client.parts.rpc.epoch > epoch, 'there is another connection');
    expect(lost.find((line) => line.includes('was lost'))).not.toContain('HealthCheckRequest');
    await until(async () => (await count(judge, mine)) === 2, 'both are registered');
  });

  it('a paused server: the last list is served on, and afterwards everything is right', async () => {
    const { client, mine, heard, other } = await busy(undefined, { healthCheckMs: 500, requestTimeoutMs: 500 });
    const judge = await open();
    await judge.naming.registerInstance({ serviceName: other, ip: '2.2.2.2', port: 7 });
    await until(() => heard.at(-1)?.[0] === 7, 'the service is heard');
    expect(await client.naming.listInstances({ serviceName: other })).toHaveLength(1);
    server.pause();
    try {
      await until(() => !client.naming.serverHealth(), 'it is noticed');
      expect(await client.naming.listInstances({ serviceName: other })).toHaveLength(1);
      await expect(client.naming.getService({ serviceName: other })).rejects.toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
      });
    } finally {
      server.resume();
    }
    await until(async () => (await count(judge, mine)) === 2, 'the registrations are there');
    await stays(() => heard.every((list) => list.length > 0), 'nobody ever heard an empty list');
  });

  it('the server asks for a reconnection: everything moves to the server that it names, and nothing is ever missing', async () => {
    const [one, two] = [await server.proxy(), await server.proxy()];
    const addresses = [one, two].map((proxy) => `127.0.0.1:${proxy.ports['http'] ?? 0}`);
    const { client, mine, dataId, contents } = await busy(undefined, {
      serverAddresses: addresses,
      appName: 'asked-to-move',
    });
    const judge = await open();
    const seen: number[] = [];
    await judge.naming.subscribe({ serviceName: mine, listener: (list) => void seen.push(list.length) });
    await until(() => seen.at(-1) === 2, 'both are seen');
    const loader = `${server.url}/v2/core/loader`;
    for (let round = 1; round <= 4; round += 1) {
      const { epoch } = client.parts.rpc;
      const target = addresses.find((address) => client.parts.rpc.server !== `http://${address}`) ?? '';
      const connections = (await (await fetch(`${loader}/current`)).json()) as Record<string, unknown>;
      const [id] = Object.entries(connections).find(([, one]) => JSON.stringify(one).includes('asked-to-move')) ?? [];
      // The last time it names none: then it is another one, too.
      const named = round < 4 ? `&redirectAddress=${target}` : '';
      const answer = await fetch(`${loader}/reloadClient?connectionId=${id ?? ''}${named}`);
      expect(answer.status).toBe(200);
      await until(() => client.parts.rpc.epoch > epoch && client.naming.serverHealth(), 'it has reconnected');
      expect(client.parts.rpc.server).toBe(`http://${target}`);
      await until(async () => (await count(judge, mine)) === 2, 'both are registered');
      await judge.config.publishConfig({ dataId, content: `round ${round}` });
      await until(() => contents.at(-1) === `round ${round}`, 'the listener hears on');
    }
    await stays(() => seen.slice(seen.indexOf(2)).every((length) => length === 2), 'neither was ever missing', 1500);
  });

  it('of several servers the one that answers is used, and the next one when it goes', async () => {
    const [one, two] = [await server.proxy(), await server.proxy()];
    const addresses = [one, two].map((proxy) => `127.0.0.1:${proxy.ports['http'] ?? 0}`);
    const client = await open(undefined, { serverAddresses: ['127.0.0.1:1', ...addresses] });
    const serviceName = freshName('failover');
    await client.naming.registerInstance({ serviceName, ip: '1.1.1.1', port: 1 });
    const used = client.parts.rpc.server === `http://${addresses[0] ?? ''}` ? one : two;
    await used.drop();
    await until(
      () => client.parts.rpc.server === `http://${addresses[used === one ? 1 : 0] ?? ''}`,
      'the other is used',
    );
    const judge = await open();
    await until(async () => (await count(judge, serviceName)) === 1, 'it is registered there');
  });

  it('nothing keeps the process alive after close, also during an outage', async () => {
    const proxy = await server.proxy();
    const { client } = await busy(proxy);
    await proxy.drop();
    await until(() => !client.naming.serverHealth(), 'it is noticed');
    await client.close();
    await client.close();
    expect(client.naming.serverHealth()).toBe(false);
  });

  describe('an address endpoint', () => {
    it('names the servers, and a change of it is followed', async () => {
      const { createServer } = await import('node:http');
      const [one, two] = [await server.proxy(), await server.proxy()];
      let list = `127.0.0.1:${one.ports['http'] ?? 0}\n`;
      const asked: string[] = [];
      const endpoint = createServer((request, response) => {
        asked.push(request.url ?? '');
        response.end(list);
      });
      await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
      try {
        const { port } = endpoint.address() as { port: number };
        const client = closing.add(
          new NacosClient({ endpoint: `127.0.0.1:${port}`, endpointRefreshMs: 200, noSnapshot: true }),
        );
        await client.start();
        await until(() => client.naming.serverHealth(), 'it is connected');
        expect(asked[0]).toBe('/nacos/serverlist');
        list = '';
        await stays(() => client.naming.serverHealth(), 'an empty list takes nothing away', 600);
        list = `# servers\n127.0.0.1:${two.ports['http'] ?? 0}\nnot an address !!\n`;
        await until(() => client.parts.rpc.server === `http://127.0.0.1:${two.ports['http'] ?? 0}`, 'it has moved');
        const http = closing.add(new NacosHttpClient({ endpoint: `http://127.0.0.1:${port}/list`, noSnapshot: true }));
        expect(await http.getConfig(freshName('none'))).toBeUndefined();
      } finally {
        endpoint.closeAllConnections();
        endpoint.close();
      }
    });
  });
});
