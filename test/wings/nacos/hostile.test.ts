import { createServer as createTcpServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../lib/backend/index.js';
import { md5 } from '../../../lib/backends/nacos/client/signing.js';
import { NacosClient, nacos, NacosHttpClient, type NacosClientOptions } from '../../../lib/backends/nacos/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';
import { Hostile, refused } from './hostile-server.js';
import { Closing, stays, until } from './support.js';

describe('a server that misbehaves', () => {
  const closing = new Closing();
  const start = async (more: Partial<NacosClientOptions> = {}): Promise<{ server: Hostile; client: NacosClient }> => {
    const server = closing.add(await Hostile.start());
    const client = closing.add(
      new NacosClient({ serverAddresses: `127.0.0.1:${server.port}`, noSnapshot: true, ...more }),
    );
    return { server, client };
  };

  it('unknown pushes, garbage and malformed pushes: skipped, and the stream goes on', async () => {
    const { server, client } = await start();
    await client.start();
    await until(() => server.streams.length === 1, 'the stream is there');
    const heard: number[] = [];
    await client.naming.subscribe({ serviceName: 's', listener: (list) => void heard.push(list.length) });
    server.push('FromTheFutureRequest', { requestId: '1' });
    server.push('__proto__', { requestId: '2' });
    server.push('NotifySubscriberRequest', Buffer.from('{ no json'));
    server.push('NotifySubscriberRequest', [1, 2]);
    server.push('NotifySubscriberRequest', { requestId: '3', serviceInfo: 'x' });
    server.push('NotifySubscriberRequest', { requestId: '4', serviceInfo: { name: 's', hosts: null } });
    server.push('ConfigChangeNotifyRequest', { requestId: '5' });
    server.push('ConnectResetRequest', Buffer.from('null'));
    const hosts = [
      { ip: '1.1.1.1', port: 80, metadata: JSON.parse('{"__proto__":"x"}') as unknown },
      { ip: '1.1.1.1', port: 81, metadata: 'x' },
      { ip: '1.1.1.1', port: 'abc' },
      { ip: '1.1.1.1', port: 82 },
    ];
    server.push('NotifySubscriberRequest', {
      requestId: '6',
      serviceInfo: { name: 's', groupName: 'DEFAULT_GROUP', hosts, lastRefTime: 2 },
    });
    await until(() => heard.at(-1) === 1, 'the right instance of the right push is heard');
    // Acknowledged are those that were understood, each under its own number.
    await until(() => server.streamed.some((one) => one.type === 'NotifySubscriberResponse'), 'it is acknowledged');
    const acknowledged = server.streamed
      .filter((one) => one.type.endsWith('Response'))
      .map((one) => (JSON.parse(Buffer.from(one.body).toString()) as { requestId: string }).requestId);
    expect(acknowledged).toEqual(['6']);
    expect(client.naming.serverHealth()).toBe(true);
  });

  it("an older list that comes late doesn't replace a newer one", async () => {
    const { server, client } = await start();
    await client.start();
    const heard: number[][] = [];
    await client.naming.subscribe({
      serviceName: 's',
      listener: (list) => void heard.push(list.map((one) => one.port)),
    });
    const send = (lastRefTime: number, ...ports: number[]): void =>
      server.push('NotifySubscriberRequest', {
        requestId: String(lastRefTime),
        serviceInfo: {
          name: 's',
          groupName: 'DEFAULT_GROUP',
          lastRefTime,
          hosts: ports.map((port) => ({ ip: '1.1.1.1', port })),
        },
      });
    send(10, 1, 2);
    send(9, 3);
    send(11, 4);
    await until(() => heard.at(-1)?.[0] === 4, 'the newest is heard');
    expect(heard).toEqual([[1, 2], [4]]);
  });

  it('an answer without a list empties nothing', async () => {
    const { server, client } = await start({ serviceRefreshMs: 100 });
    await client.start();
    const heard: number[] = [];
    server.answer = (type) =>
      type === 'SubscribeServiceRequest'
        ? {
            type: 'SubscribeServiceResponse',
            body: { serviceInfo: { name: 's', groupName: 'DEFAULT_GROUP', hosts: [{ ip: '1.1.1.1', port: 1 }] } },
          }
        : undefined;
    await client.naming.subscribe({ serviceName: 's', listener: (list) => void heard.push(list.length) });
    const bad = [{}, { serviceInfo: null }, { serviceInfo: { name: 's', hosts: 'x' } }];
    server.answer = (type) =>
      type === 'SubscribeServiceRequest' ? { type: 'SubscribeServiceResponse', body: bad[0] ?? {} } : undefined;
    await stays(() => heard.every((length) => length === 1), 'the list stays');
    expect(await client.naming.listInstances({ serviceName: 's' })).toHaveLength(1);
    await expect(client.naming.getService({ serviceName: 's' })).resolves.toBeDefined();
  });

  it('content with the wrong MD5 is never handed out, and the listener hears the right one', async () => {
    const { server, client } = await start();
    await client.start();
    let wrong = true;
    let pushed = false;
    server.answer = (type, body) => {
      if (type === 'ConfigBatchListenRequest') {
        const contexts = body['configListenContexts'] as { md5: string; dataId: string; group: string }[];
        const changedConfigs = contexts.filter((one) => one.md5 !== '9dd4e461268c8034f5c8564e155c67a6');
        return { type: 'ConfigChangeBatchListenResponse', body: { resultCode: 200, changedConfigs } };
      }
      if (type !== 'ConfigQueryRequest') return undefined;
      pushed = true;
      return {
        type: 'ConfigQueryResponse',
        body: { resultCode: 200, content: wrong ? 'cut o' : 'x', md5: '9dd4e461268c8034f5c8564e155c67a6' },
      };
    };
    const heard: unknown[] = [];
    await client.config.addListener('doc', undefined, (...args) => void heard.push(args[3]));
    await until(() => pushed, 'it was read');
    await expect(client.config.getConfig({ dataId: 'doc' })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await stays(() => heard.length === 0, 'the wrong one is not heard', 600);
    const reads = server.requests.filter((one) => one.type === 'ConfigQueryRequest').length;
    expect(reads).toBeLessThan(20);
    wrong = false;
    await until(() => heard.length === 1, 'the right one is heard');
    expect(heard).toEqual(['x']);
  });

  it('one that says "changed" for ever gets a bounded number of questions', async () => {
    const { server, client } = await start();
    await client.start();
    server.answer = (type, body) =>
      type === 'ConfigBatchListenRequest'
        ? {
            type: 'ConfigChangeBatchListenResponse',
            body: { resultCode: 200, changedConfigs: body['configListenContexts'] },
          }
        : type === 'ConfigQueryRequest'
          ? { type: 'ConfigQueryResponse', body: { resultCode: 500, errorCode: 300, message: 'no such item' } }
          : undefined;
    await client.config.addListener('doc', undefined, () => {});
    await stays(() => true, 'time passes', 4000);
    const reads = server.requests.filter((one) => one.type === 'ConfigQueryRequest').length;
    expect(reads).toBeLessThan(30);
  });

  it('pushes before it has taken the client in, acknowledgements nobody asked for, twice and late: no crash', async () => {
    const { server, client } = await start();
    server.opened = (send) => {
      // A server over its limit asks to go elsewhere at once, before anything else.
      send('ConnectResetRequest', { requestId: '1' });
      send('ClientDetectionRequest', { requestId: '2' });
      send('NotifySubscriberRequest', { requestId: '3', serviceInfo: { name: 's', hosts: [] } });
      send('SetupAckRequest', { abilityTable: 'x' });
      send('SetupAckRequest', { abilityTable: { late: true } });
      send('ConnectionSetupResponse', { requestId: '99' });
      send('HealthCheckResponse', { requestId: '1' });
    };
    await client.start();
    await until(() => server.streamed.some((one) => one.type === 'ClientDetectionResponse'), 'it is answered');
    server.opened = () => {};
    await until(() => client.naming.serverHealth(), 'it is connected');
    expect(await client.config.removeConfig({ dataId: 'a' })).toBe(true);
  });

  it("a document that can't be read holds up no other one", async () => {
    const { server, client } = await start();
    await client.start();
    const current = new Map([
      ['good', 0],
      ['bad', 0],
    ]);
    server.answer = (type, body) => {
      if (type === 'ConfigBatchListenRequest') {
        const contexts = body['configListenContexts'] as { md5: string; dataId: string; group: string }[];
        const changedConfigs = contexts.filter((one) => one.md5 !== md5(String(current.get(one.dataId))));
        return { type: 'ConfigChangeBatchListenResponse', body: { resultCode: 200, changedConfigs } };
      }
      if (type !== 'ConfigQueryRequest') return undefined;
      const dataId = String(body['dataId']);
      if (dataId === 'bad') return refused;
      return { type: 'ConfigQueryResponse', body: { resultCode: 200, content: String(current.get(dataId)) } };
    };
    const heard: (string | undefined)[] = [];
    await client.config.addListener('bad', undefined, () => {});
    await client.config.addListener('good', undefined, (_tenant, _id, _group, content) => void heard.push(content));
    await until(() => heard.length === 1, 'what is there is heard');
    // By now a pause that grows with the failures would have grown.
    await stays(() => true, 'some failures', 3000);
    for (let version = 1; version <= 5; version += 1) {
      current.set('good', version);
      server.push('ConfigChangeNotifyRequest', { requestId: '1', dataId: 'good', group: 'DEFAULT_GROUP' });
      await until(() => heard.at(-1) === String(version), 'the change is heard');
    }
    const reads = server.requests.filter((one) => one.type === 'ConfigQueryRequest').length;
    expect(reads).toBeLessThan(40);
  });

  it('everything is compared from time to time, also while some of it changes all the time', async () => {
    const { server, client } = await start({ configRefreshMs: 500 });
    await client.start();
    let quiet = 'old';
    server.answer = (type, body) => {
      if (type === 'ConfigBatchListenRequest') {
        const contexts = body['configListenContexts'] as { md5: string; dataId: string }[];
        const changedConfigs = contexts.filter((one) => one.dataId === 'quiet' && one.md5 !== md5(quiet));
        return { type: 'ConfigChangeBatchListenResponse', body: { resultCode: 200, changedConfigs } };
      }
      if (type !== 'ConfigQueryRequest') return undefined;
      return { type: 'ConfigQueryResponse', body: { resultCode: 200, content: quiet } };
    };
    const heard: (string | undefined)[] = [];
    await client.config.addListener('busy', undefined, () => {});
    await client.config.addListener('quiet', undefined, (_tenant, _id, _group, content) => void heard.push(content));
    await until(() => heard.length === 1, 'what is there is heard');
    // No push tells of it.
    quiet = 'new';
    const busy = setInterval(() => {
      server.push('ConfigChangeNotifyRequest', { requestId: '1', dataId: 'busy', group: 'DEFAULT_GROUP' });
    }, 100);
    try {
      await until(() => heard.at(-1) === 'new', 'the change is found', 5000);
    } finally {
      clearInterval(busy);
    }
  });

  it("one that doesn't know the connection any more (301): another connection, and everything again", async () => {
    const { server, client } = await start();
    await client.start();
    await client.naming.registerInstance({ serviceName: 's', ip: '1.1.1.1', port: 1 });
    const { epoch } = client.parts.rpc;
    let once = true;
    server.answer = (type) => {
      if (type !== 'ServiceQueryRequest' || !once) return undefined;
      once = false;
      return { type: 'ErrorResponse', body: { resultCode: 500, errorCode: 301, message: 'not registered' } };
    };
    await client.naming.getService({ serviceName: 's' });
    expect(client.parts.rpc.epoch).toBe(epoch + 1);
    await until(
      () => server.requests.filter((one) => one.type === 'InstanceRequest').length === 2,
      'the registration was repeated',
    );
  });

  it('one that never answers, one that answers garbage, one that is no Nacos: never a crash, always an error', async () => {
    const { server, client } = await start({ requestTimeoutMs: 300 });
    server.answer = () => 'silence';
    await client.start();
    await expect(client.config.getConfig({ dataId: 'a' })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    server.answer = (type) => ({ type, body: {}, raw: Buffer.from('ffffffffff', 'hex') });
    await expect(client.config.getConfig({ dataId: 'a' })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    server.answer = () => ({ type: 'SomethingElse', body: { resultCode: 200 } });
    await expect(client.config.getConfig({ dataId: 'a' })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    server.answer = () => undefined;
    await until(() => client.naming.serverHealth(), 'it recovers');
  });

  it('a port that accepts and says nothing: the app starts, and says degraded', async () => {
    const sockets = new Set<{ destroy(): void }>();
    const tcp = createTcpServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const { port } = tcp.address() as { port: number };
    const events: DiscoveryEvent[] = [];
    const definition = nacos({ serverAddresses: `127.0.0.1:${port}`, grpc: { portOffset: 0 }, requestTimeoutMs: 300 });
    const backend = definition.create(createContext(events, { logger: silentLogger }));
    try {
      await backend.open();
      await until(() => backend.state.current.phase === 'degraded', 'it is degraded');
      expect(backend.state.current.error?.code).toBe('BACKEND_UNAVAILABLE');
      const http = closing.add(
        new NacosHttpClient({ serverAddresses: `127.0.0.1:${port}`, requestTimeoutMs: 200, noSnapshot: true }),
      );
      http.addConfigWatchers('doc', undefined, [() => {}]);
      await expect(http.getConfig('doc')).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      const instance = { serviceName: 's', ip: '1.1.1.1', port: 1 };
      await expect(http.addNamingInstance(instance)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    } finally {
      await backend.close();
      for (const socket of sockets) socket.destroy();
      tcp.close();
    }
    expect(backend.state.current.phase).toBe('closed');
  });
});
