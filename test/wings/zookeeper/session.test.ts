import { createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ConfigReport } from '../../../lib/backend/index.js';
import { createRegistration } from '../../../lib/model/index.js';
import { curator, ZooKeeperClient } from '../../../lib/backends/zookeeper/index.js';
import { freshName, freshPort } from '../../contract/contract-harness.js';
import { freePortWith } from '../../servers/free-port.js';
import { withServer } from '../../servers/for-tests.js';
import { ask, killSession, Opened, until, watching, type TestBackend } from './support.js';

const SESSION_MS = 2000;

/** The owner of the one record under a path. */
async function ownerOf(client: ZooKeeperClient, parent: string): Promise<string | undefined> {
  const names = (await client.getChildren(parent)) ?? [];
  const [name] = names;
  return names.length === 1 && name !== undefined ? (await client.exists(`${parent}/${name}`))?.owner : undefined;
}

const registrationOf = (service: string) => createRegistration({ service, host: '127.0.0.1', port: freshPort() });

withServer('zookeeper', {}, (server) => {
  describe('a session', () => {
    const opened = new Opened();

    for (const layout of ['asab', 'curator'] as const) {
      it(`killed at the server: registered again with a new owner (${layout})`, async () => {
        const base = freshName('kill');
        const observer = await opened.client(server.url);
        const writer = await (layout === 'asab'
          ? opened.asab(server.url, { path: base })
          : opened.backend({ servers: server.url, layout: curator({ basePath: `/${base}` }) }));
        const service = freshName('svc');
        await writer.backend.registry.register(registrationOf(service)).registered;
        const reader = watching(writer, service);
        await until(() => reader.ports().length === 1, 'it is seen');
        const parent = layout === 'asab' ? `/${base}/run` : `/${base}/${service}`;
        const before = await until(() => ownerOf(observer, parent), 'it is there');
        const phases: string[] = [];
        writer.backend.client.state.subscribe(({ phase }) => phases.push(phase));
        await killSession(writer.backend.client, server.url);
        const after = await until(async () => {
          const owner = await ownerOf(observer, parent);
          return owner !== undefined && owner !== before ? owner : undefined;
        }, 'it is back');
        expect(after).toBe(writer.backend.client.sessionId);
        expect(phases).toContain('lost');
        await until(() => reader.ports().length === 1 && reader.reports.at(-1)?.error === undefined, 'and seen');
        await delay(SESSION_MS);
        expect(await ownerOf(observer, parent)).toBe(after);
      });
    }

    it('a short cut keeps the session and its nodes; what happened meanwhile is seen', async () => {
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      const base = freshName('short');
      const [near, far] = [await opened.asab(server.url, { path: base }), await opened.asab(proxy.url, { path: base })];
      const service = freshName('svc');
      await far.backend.registry.register(registrationOf(service)).registered;
      const reader = watching(far, service);
      await until(() => reader.ports().length === 1, 'it is seen');
      const session = far.backend.client.sessionId;
      await proxy.drop();
      await until(() => far.backend.client.state.current.phase === 'suspended', 'it is suspended');
      expect(reader.reports.at(-1)?.error?.code).toBe('BACKEND_UNAVAILABLE');
      await near.backend.registry.register(registrationOf(service)).registered;
      await proxy.heal();
      await until(() => reader.ports().length === 2, 'what was missed is seen');
      expect(far.backend.client.sessionId).toBe(session);
    });

    it('cut off for longer than the session lasts: lost, told by ourselves; registered anew afterwards', async () => {
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      const base = freshName('cut');
      const observer = await opened.client(server.url);
      const far = await opened.asab(proxy.url, { path: base });
      const service = freshName('svc');
      await far.backend.registry.register(registrationOf(service)).registered;
      const before = await until(() => ownerOf(observer, `/${base}/run`), 'it is there');
      const phases: string[] = [];
      far.backend.client.state.subscribe(({ phase }) => phases.push(phase));
      proxy.blackhole();
      await until(() => phases.includes('lost'), 'it is lost');
      // Noticed by ourselves: nobody closed the connection, and nobody could say that the session had ended.
      expect(phases).toEqual(['suspended', 'lost']);
      await until(async () => (await observer.getChildren(`/${base}/run`))?.length === 0, 'the server forgot it too');
      await proxy.heal({ resetHeld: true });
      const after = await until(() => ownerOf(observer, `/${base}/run`), 'it is back');
      expect(after).not.toBe(before);
      const registrations = (): number => far.events.filter((event) => event.type === 'registration.registered').length;
      await until(() => registrations() === 2, 'it is told');
    });

    it('a server that takes connections and says nothing is left for the next one', async () => {
      const silent = createServer(() => {});
      const port = await freePortWith([]);
      await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve));
      opened.add(() => new Promise((resolve) => silent.close(resolve)));
      const sockets = new Set<Socket>();
      silent.on('connection', (socket) => sockets.add(socket));
      const client = await opened.client(`127.0.0.1:${port},${server.url}`);
      await until(() => client.state.current.phase === 'connected', 'it connects to the other one');
      expect(client.state.current.server).toBe(server.url);
      for (const socket of sockets) socket.destroy();
    });

    it('an event loop that stood still is no lost connection, unless the server says so', async () => {
      const { backend } = await opened.asab(server.url, { path: freshName('stall') });
      await until(() => backend.client.state.current.phase === 'connected', 'it connects');
      const { sessionId } = backend.client;
      const end = Date.now() + SESSION_MS * 0.8;
      while (Date.now() < end);
      expect(await backend.client.exists('/')).toBeDefined();
      expect(backend.client.sessionId).toBe(sessionId);
    });
  });
});

withServer('zookeeper', { private: true }, (server) => {
  describe('a server that fails', () => {
    const opened = new Opened();

    const settled = async (test: TestBackend, service: string): Promise<ReturnType<typeof watching>> => {
      await test.backend.registry.register(registrationOf(service)).registered;
      const reader = watching(test, service);
      await until(() => reader.ports().length === 1, 'it is seen');
      return reader;
    };
    const backAgain = (reader: ReturnType<typeof watching>): Promise<unknown> =>
      until(() => reader.reports.at(-1)?.instances?.length === 1, 'the instance is seen again', 20_000);

    it('paused for a while: degraded, known instances stay; afterwards all is well', async () => {
      const test = await opened.asab(server.url, { path: freshName('paused') });
      const service = freshName('svc');
      const reader = await settled(test, service);
      server.pause();
      try {
        await until(() => test.backend.state.current.phase === 'degraded', 'it is noticed', 6000);
        expect(reader.reports.filter((report) => report.instances?.length === 0)).toHaveLength(0);
      } finally {
        server.resume();
      }
      await backAgain(reader);
      await until(() => test.backend.state.current.phase === 'ready', 'it is ready');
    });

    it('restarted with its data', async () => {
      const test = await opened.asab(server.url, { path: freshName('restart') });
      const reader = await settled(test, freshName('svc'));
      await server.restart({ keepData: true });
      await backAgain(reader);
      const count = reader.reports.filter((report) => report.instances?.length === 1).length;
      expect(count).toBeGreaterThan(1);
    });

    it('restarted empty, behind what we have seen: everything is made again', async () => {
      const path = freshName('empty');
      const test = await opened.asab(server.url, { path });
      const reader = await settled(test, freshName('svc'));
      await server.restart({ keepData: false });
      await backAgain(reader);
      const observer = await opened.client(server.url);
      await until(async () => (await observer.getChildren(`/${path}/run`))?.length === 1, 'the record is there');
    });

    it('restarted empty: a node of the same name and the same transaction is another node', async () => {
      const base = freshName('again');
      const service = freshName('svc');
      const record = (port: number) =>
        Buffer.from(JSON.stringify({ name: service, id: 'one', address: '127.0.0.1', port, serviceType: 'DYNAMIC' }));
      /** Writes a record and a value, in the given transaction and the next one. */
      const write = async (client: ZooKeeperClient, port: number, at?: bigint): Promise<bigint> => {
        for (const path of [`/${base}`, `/${base}/${service}`, '/config', '/config/application']) {
          await client.create(path).catch(() => {});
        }
        // Transactions are counted from one on in a server without data.
        for (let last = 0n; at !== undefined && last < at - 1n;) {
          const path = await client.create('/filler-', Buffer.alloc(0), { mode: 'persistent-sequential' });
          last = (await client.exists(path))?.czxid ?? 0n;
        }
        await client.create(`/${base}/${service}/one`, record(port));
        await client.create(`/config/application/${base}`, Buffer.from(String(port)));
        const stat = await client.exists(`/${base}/${service}/one`);
        return stat?.mzxid ?? 0n;
      };
      await server.restart({ keepData: false });
      const before = new ZooKeeperClient({ servers: server.url });
      await before.open();
      for (let count = 0; count < 50; count++) {
        await before.create('/filler-', Buffer.alloc(0), { mode: 'persistent-sequential' });
      }
      const transaction = await write(before, 1);
      await before.close();

      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      const test = await opened.backend({ servers: proxy.url, layout: curator({ basePath: `/${base}` }) });
      const reader = watching(test, service);
      const documents: ConfigReport[] = [];
      test.backend.config.watch({ kind: 'application', application: 'shop', profiles: [] }, (report) =>
        documents.push(report),
      );
      const value = () => JSON.stringify(documents.at(-1)?.documents ?? []);
      await until(() => reader.ports().includes(1), 'the record is seen');
      await until(() => value().includes('"1"'), 'the value is seen');

      await proxy.drop();
      await server.restart({ keepData: false });
      const after = await opened.client(server.url);
      expect(await write(after, 2, transaction)).toBe(transaction);
      await proxy.heal();
      await until(() => reader.ports().includes(2), 'the other record is seen');
      await until(() => value().includes('"2"'), 'the other value is seen');
    });

    it('not there when the app starts: the app runs, and registers when it comes', async () => {
      await server.stop();
      const test = await opened.asab(server.url, { path: freshName('late') });
      const service = freshName('svc');
      const lease = test.backend.registry.register(registrationOf(service));
      await until(() => lease.state.current.phase === 'retrying', 'it retries');
      await server.restart();
      await lease.registered;
      const reader = watching(test, service);
      await backAgain(reader);
    });
  });
});

withServer('zookeeper', { variant: 'ensemble', private: true }, (server) => {
  describe('an ensemble of three', () => {
    const opened = new Opened();

    it('loses its leader: the session moves to another server, and nothing is registered twice', async () => {
      const path = freshName('leader');
      const servers = server.urls.join(',');
      const test = await opened.asab(servers, { path }, { sessionTimeoutMs: 8000 });
      const service = freshName('svc');
      await test.backend.registry.register(registrationOf(service)).registered;
      const reader = watching(test, service);
      await until(() => reader.ports().length === 1, 'it is seen');
      const session = test.backend.client.sessionId;
      let leader = server.nodes[0];
      for (const node of server.nodes) {
        const answer = await ask(node.host, Object.values(node.ports)[0] ?? 0, 'srvr');
        if (/Mode: leader/.test(answer)) leader = node;
      }
      await leader?.stop();
      const writer = await opened.asab(servers, { path }, { sessionTimeoutMs: 8000 });
      const second = writer.backend.registry.register(registrationOf(service));
      await second.registered;
      await until(() => reader.ports().length === 2, 'changes are seen on the new leader', 20_000);
      expect(test.backend.client.sessionId).toBe(session);
      await second.revoke();
      await until(() => reader.ports().length === 1, 'removals too');
      await leader?.restart();
    });
  });
});

describe('a server that answers with garbage', () => {
  const opened = new Opened();
  /** A server that says `answer` to every first message; counts its connections. */
  async function hostile(
    answer: (data: Buffer, socket: Socket, nth: number) => void,
  ): Promise<{ url: string; count(): number }> {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      let messages = 0;
      socket.on('error', () => {});
      socket.on('data', (data) => answer(data, socket, messages++));
    });
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => sockets.add(socket));
    opened.add(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    const port = await freePortWith([]);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return { url: `127.0.0.1:${port}`, count: () => connections };
  }

  /** The answer to a handshake that grants a session of 2 s. */
  function granted(): Buffer {
    const frame = Buffer.alloc(40);
    frame.writeInt32BE(36, 0);
    frame.writeInt32BE(2000, 8);
    frame.writeBigInt64BE(77n, 12);
    frame.writeInt32BE(16, 20);
    return frame;
  }

  const answers: Readonly<Record<string, (socket: Socket) => void>> = {
    'an HTTP page': (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\nnope'),
    'a frame of negative length': (socket) => socket.write(Buffer.from('ffffffff00000000', 'hex')),
    'a frame of two gigabytes': (socket) => socket.write(Buffer.from('7fffffff00000000', 'hex')),
    'a frame that is too short': (socket) => socket.write(Buffer.from('0000000100', 'hex')),
    'zeros without end': (socket) => socket.write(Buffer.alloc(4096)),
    'a session, then an answer to nothing': (socket) => {
      socket.write(granted());
      socket.write(Buffer.from('0000001000000063000000000000000100000000', 'hex'));
    },
    'a session, then an event of an unknown kind': (socket) => {
      socket.write(granted());
      socket.write(Buffer.from('00000020ffffffffffffffffffffffff000000000000006300000003000000042f616263', 'hex'));
    },
    'a session, then half a frame and the end': (socket) => {
      socket.write(granted());
      socket.end(Buffer.from('000000ff01', 'hex'));
    },
  };

  for (const [what, answer] of Object.entries(answers)) {
    it(`${what}: no crash, no hang, no flood`, async () => {
      const server = await hostile((_data, socket, nth) => {
        if (nth === 0) answer(socket);
      });
      const client = await opened.client(server.url);
      await expect(client.getData('/x')).rejects.toBeInstanceOf(Error);
      await delay(700);
      expect(server.count()).toBeLessThan(12);
      await client.close();
    });
  }

  it('error codes that the library does not know come through', async () => {
    const server = await hostile((data, socket, nth) => {
      if (nth === 0) return void socket.write(granted());
      for (let at = 0; at + 12 <= data.length; at += 4 + data.readInt32BE(at)) {
        // A reply to the request's own xid: -101, no node, and to reads -125, quota exceeded.
        const reply = Buffer.alloc(20);
        reply.writeInt32BE(16, 0);
        reply.writeInt32BE(data.readInt32BE(at + 4), 4);
        reply.writeInt32BE(data.readInt32BE(at + 8) === 4 ? -125 : -101, 16);
        socket.write(reply);
      }
    });
    const client = await opened.client(server.url);
    await expect(client.getData('/x')).rejects.toMatchObject({ failure: 'QUOTA_EXCEEDED', code: 'BACKEND_REFUSED' });
  });
});
