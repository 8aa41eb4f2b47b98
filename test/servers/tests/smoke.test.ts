import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect, it } from 'vitest';
import { withServer } from '../for-tests.js';
import { nacosLogin } from '../products/nacos.js';
import type { RunningServer } from '../types.js';
import { httpGet, waitFor } from '../wait.js';
import { askZooKeeper } from '../wire.js';

const eventually = <T>(what: string, condition: () => Promise<T | false | undefined>, timeoutMs = 20_000) =>
  waitFor(condition, { what, timeoutMs });

/** Sends lines of NATS's own protocol and gives what comes back until it matches. */
async function natsTalk(socket: Socket, send: string, expected: RegExp): Promise<string> {
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  socket.write(send);
  return eventually(`${expected.source} in ${send}`, async () => expected.test(text) && text, 5_000);
}

async function natsRoundTrip(server: RunningServer, options: object): Promise<void> {
  const socket = connectTcp({ host: server.host, port: server.port });
  await natsTalk(
    socket,
    `CONNECT ${JSON.stringify({ verbose: false, ...options })}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\n`,
    /MSG a 1 2\r\nhi/,
  );
  socket.destroy();
}

/** A request to JetStream's API over a bare socket. */
async function jetStream(server: RunningServer, subject: string, body: object): Promise<string> {
  const socket = connectTcp({ host: server.host, port: server.port });
  const json = JSON.stringify(body);
  const connect = 'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB inbox 1\r\n';
  const answer = await natsTalk(
    socket,
    `${connect}PUB $JS.API.${subject} inbox ${json.length}\r\n${json}\r\n`,
    /MSG inbox 1 \d+\r\n.*\r\n/,
  );
  socket.destroy();
  return answer;
}

withServer('nats', {}, (server) => {
  it('delivers, and has buckets whose keys have a lifetime each', async () => {
    expect(server.version).toMatch(/^2\.(1[1-9]|[2-9]\d)\./);
    await natsRoundTrip(server, {});
    const config = {
      name: 'KV_smoke',
      subjects: ['$KV.smoke.>'],
      allow_msg_ttl: true,
      subject_delete_marker_ttl: 2_000_000_000,
    };
    expect(await jetStream(server, 'STREAM.CREATE.KV_smoke', config)).toContain('"allow_msg_ttl":true');
  });
});

withServer('nats', { variant: '2.9' }, (server) => {
  it('delivers, and has JetStream', async () => {
    expect(server.version).toMatch(/^2\.9\./);
    await natsRoundTrip(server, {});
    expect(await jetStream(server, 'STREAM.CREATE.smoke', { name: 'smoke', subjects: ['smoke.>'] })).toContain(
      '"did_create":true',
    );
  });
});

withServer('nats', { variant: 'token' }, (server) => {
  it('lets in who has the token, and nobody else', async () => {
    await natsRoundTrip(server, { auth_token: server.token });
    await expect(natsRoundTrip(server, { auth_token: 'wrong' })).rejects.toThrow();
  });
});

withServer('nats', { variant: 'tls' }, (server) => {
  it('speaks TLS under its own authority', async () => {
    const socket = connectTcp({ host: server.host, port: server.port });
    const [info] = (await once(socket, 'data')) as [Buffer];
    expect(info.toString()).toContain('"tls_required":true');
    const secure = connectTls({ socket, ca: server.tls?.ca ?? '', servername: 'localhost' });
    await once(secure, 'secureConnect');
    await natsTalk(secure, 'CONNECT {"verbose":false,"tls_required":true}\r\nPING\r\n', /PONG/);
    secure.destroy();
  });
});

withServer('zookeeper', {}, (server) => {
  it('is alone and ticks fast', async () => {
    expect(await askZooKeeper(server.host, server.port, 'ruok')).toBe('imok');
    expect(await askZooKeeper(server.host, server.port, 'srvr')).toContain('Mode: standalone');
    expect(await askZooKeeper(server.host, server.port, 'conf')).toContain('minSessionTimeout=400');
  });
});

withServer('zookeeper', { variant: 'ensemble', private: true }, (server) => {
  const modes = () =>
    Promise.all(
      server.nodes.map(async (node) => {
        const answer = await askZooKeeper(node.host, node.ports['client'] ?? 0, 'srvr').catch(() => '');
        return /^Mode: (\w+)/m.exec(answer)?.[1] ?? 'none';
      }),
    );

  it('elects another leader when the leader dies, and takes the old one back', async () => {
    const before = await modes();
    expect(before.toSorted()).toEqual(['follower', 'follower', 'leader']);
    const leader = server.nodes[before.indexOf('leader')];
    await leader?.stop();
    await eventually('a new leader', async () => (await modes()).toSorted().join() === 'follower,leader,none');
    await leader?.restart();
    expect((await modes()).toSorted()).toEqual(['follower', 'follower', 'leader']);
  });
});

for (const variant of ['dev', 'server', 'acl'] as const) {
  withServer('consul', { variant }, (server) => {
    it('registers a service and stores a key', async () => {
      const headers: Record<string, string> = server.token === undefined ? {} : { 'X-Consul-Token': server.token };
      const call = (path: string, init: RequestInit = {}) => httpGet(`${server.url}/v1/${path}`, { headers, ...init });
      const service = JSON.stringify({ Name: 'smoke', Port: 80 });
      expect((await call('agent/service/register', { method: 'PUT', body: service })).status).toBe(200);
      expect((await call('kv/smoke', { method: 'PUT', body: 'x' })).text.trim()).toBe('true');
      expect((await call('kv/smoke?raw')).text).toBe('x');
      await eventually('the service in the catalogue', async () =>
        /"Port": ?80\b/.test((await call('health/service/smoke')).text),
      );
      if (variant === 'acl') {
        expect((await httpGet(`${server.url}/v1/kv/smoke`)).status).toBe(403);
        expect((await httpGet(`${server.url}/v1/kv/smoke`, { headers: { 'X-Consul-Token': server.url } })).status).toBe(
          403,
        );
      }
    });
  });
}

const instance = (id: string, lease: number) => ({
  instance: {
    ...{ instanceId: id, app: 'SMOKE', hostName: 'localhost', ipAddr: '127.0.0.1', status: 'UP', vipAddress: 'smoke' },
    port: { $: 80, '@enabled': 'true' },
    dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
    leaseInfo: { renewalIntervalInSecs: 1, durationInSecs: lease },
  },
});

async function registerInEureka(url: string, id: string, headers: Record<string, string> = {}): Promise<number> {
  const body = JSON.stringify(instance(id, id === 'fleeting' ? 1 : 30));
  return (
    await httpGet(`${url}/apps/SMOKE`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body,
    })
  ).status;
}

withServer('eureka', {}, (server) => {
  it('registers, shows at once, and evicts soon who does not renew', async () => {
    expect(await registerInEureka(server.url, 'fleeting')).toBe(204);
    expect((await httpGet(`${server.url}/apps/SMOKE/fleeting`)).status).toBe(200);
    expect((await httpGet(`${server.url}/apps/SMOKE/fleeting`, { method: 'PUT' })).status).toBe(200);
    expect((await httpGet(`${server.url}/apps/SMOKE/none`, { method: 'PUT' })).status).toBe(404);
    await eventually('the eviction', async () => (await httpGet(`${server.url}/apps/SMOKE/fleeting`)).status === 404);
  });
});

withServer('eureka', { variant: 'peers' }, (server) => {
  it('replicates from each to the other', async () => {
    const [first, second] = server.urls;
    for (const [from, to] of [
      [first, second],
      [second, first],
    ]) {
      const id = `from-${new URL(from ?? '').hostname}`;
      expect(await registerInEureka(from ?? '', id)).toBe(204);
      await eventually('the copy', async () => (await httpGet(`${to}/apps/SMOKE/${id}`)).status === 200);
    }
  });
});

withServer('eureka', { variant: 'auth' }, (server) => {
  it('wants its login', async () => {
    const login = Buffer.from(`${server.username}:${server.password}`).toString('base64');
    expect(await registerInEureka(server.url, 'one')).toBe(401);
    expect(await registerInEureka(server.url, 'one', { Authorization: `Basic ${login}` })).toBe(204);
  });
});

for (const variant of ['auth', 'open'] as const) {
  withServer('nacos', { variant }, (server) => {
    it('registers an instance and publishes a configuration, over HTTP; gRPC listens', async () => {
      const { username = '', password = '' } = server;
      const token = variant === 'auth' ? await nacosLogin(server.url, { username, password }) : '';
      const call = (path: string, method = 'GET') =>
        httpGet(`${server.url}/v1/${path}&accessToken=${token}`, { method });
      expect((await call('ns/instance?serviceName=smoke&ip=127.0.0.1&port=80', 'POST')).text).toBe('ok');
      const listed = async () => (await call('ns/instance/list?serviceName=smoke')).text.includes('"port":80');
      await eventually('the instance', listed);
      expect((await call('cs/configs?dataId=smoke&group=DEFAULT_GROUP&content=x', 'POST')).text).toBe('true');
      await eventually(
        'the configuration',
        async () => (await call('cs/configs?dataId=smoke&group=DEFAULT_GROUP')).text === 'x',
      );
      if (variant === 'auth') {
        const without = await httpGet(`${server.url}/v1/cs/configs?dataId=smoke&group=DEFAULT_GROUP`);
        expect(without.status).toBe(403);
      }
      await expectListening(server);
    });
  });
}

withServer('nacos', { variant: '3' }, (server) => {
  it('registers an instance and publishes a configuration with the API of 3.x; gRPC listens', async () => {
    const { username = '', password = '' } = server;
    const token = await nacosLogin(server.url, { username, password });
    const call = (path: string, init: RequestInit = {}) =>
      httpGet(`${server.url}/v3/${path}`, { ...init, headers: { accessToken: token } });
    const form = (values: Record<string, string>) => ({ method: 'POST', body: new URLSearchParams(values) });
    await call('client/ns/instance', form({ serviceName: 'smoke', ip: '127.0.0.1', port: '80' }));
    const listed = async () => (await call('client/ns/instance/list?serviceName=smoke')).text.includes('"port":80');
    await eventually('the instance', listed);
    await call('admin/cs/config', form({ dataId: 'smoke', groupName: 'DEFAULT_GROUP', content: 'x' }));
    await eventually('the configuration', async () =>
      (await call('client/cs/config?dataId=smoke&groupName=DEFAULT_GROUP')).text.includes('"content":"x"'),
    );
    expect((await httpGet(`${server.url}/v3/client/ns/instance/list?serviceName=smoke`)).status).toBe(403);
    await expectListening(server);
  });
});

async function expectListening(server: RunningServer): Promise<void> {
  const proxy = await server.proxy();
  expect(proxy.ports['grpc']).toBe(proxy.port + 1_000);
  const socket = connectTcp({ host: '127.0.0.1', port: proxy.port + 1_000 });
  // HTTP/2: the server's first frame follows the client's preface.
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
  await once(socket, 'data');
  socket.destroy();
  await proxy.close();
}
