import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { curator, zookeeper, ZooKeeperClient, type ZooKeeperOptions } from '../../../lib/backends/zookeeper/index.js';
import type { TlsOptions } from '../../../lib/backend/index.js';
import { createRegistration } from '../../../lib/model/index.js';
import { createContext, freshName, freshPort } from '../../contract/contract-harness.js';
import type { TlsFiles } from '../../servers/types.js';
import { withServer } from '../../servers/for-tests.js';
import { Opened, until, watching } from './support.js';

withServer('zookeeper', { variant: 'tls' }, (server) => {
  const opened = new Opened();
  const files = (): TlsFiles => {
    if (server.tls === undefined) throw new Error('no TLS');
    return server.tls;
  };

  const outageOf = async (tls: ZooKeeperOptions['tls'], servers = server.url): Promise<string> => {
    const client = new ZooKeeperClient({ servers, connectTimeoutMs: 1000, ...(tls === undefined ? {} : { tls }) });
    opened.add(() => client.close());
    await client.open();
    return until(() => client.outage?.message, 'it is refused');
  };

  describe('TLS to the secure client port', () => {
    it.each([
      ['a certificate authority', ({ ca }) => ({ ca })],
      ['its file', ({ caFile }) => ({ caFile })],
      ['a certificate of the client’s own', ({ ca, cert, key }) => ({ ca, cert, key })],
      ['any certificate', () => ({ rejectUnauthorized: false })],
      ['another name', ({ ca }) => ({ ca, servername: 'localhost' })],
    ] satisfies [string, (given: TlsFiles) => TlsOptions][])('registers and finds, with %s', async (_, optionsOf) => {
      const tls = optionsOf(files());
      const layout = curator({ basePath: `/${freshName('tls')}` });
      const test = await opened.backend({ servers: server.url, layout, tls });
      const registration = createRegistration({ service: 'secure', host: '127.0.0.1', port: freshPort() });
      await test.backend.registry.register(registration).registered;
      const reader = watching(test, 'secure');
      await until(() => reader.ports()[0] === registration.port, 'it is seen');
      // More than one read of the socket.
      const big = Buffer.alloc(200_000, 'x');
      await test.backend.client.create(`/${freshName('big')}/node`, big);
      await test.close();
    });

    it('goes on with its session over another connection', async () => {
      const proxy = await server.proxy();
      const test = await opened.backend({ servers: proxy.url, tls: { ca: files().ca }, sessionTimeoutMs: 10_000 });
      await until(() => test.backend.client.state.current.phase === 'connected', 'it is connected');
      const { sessionId } = test.backend.client;
      await proxy.drop();
      await until(() => test.backend.client.state.current.phase === 'suspended', 'it is cut off');
      await proxy.heal();
      await until(() => test.backend.client.state.current.phase === 'connected', 'it is connected again');
      expect(test.backend.client.sessionId).toBe(sessionId);
    });

    it('trusts nobody that it wasn’t told to, and says why', async () => {
      expect(await outageOf({})).toMatch(/certificate/);
      expect(await outageOf({ ca: files().ca, servername: 'elsewhere.example' })).toMatch(
        /altnames|elsewhere\.example/,
      );
    });

    it('does without it are no answer', async () => {
      expect(await outageOf(undefined)).toMatch(/closed the connection|didn't answer/);
    });

    it('a server that speaks none is left', async () => {
      const sockets = new Set<Socket>();
      const silent = createServer((socket) => sockets.add(socket.on('error', () => {})));
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      opened.add(async () => {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => silent.close(resolve));
      });
      const { port } = silent.address() as { port: number };
      expect(await outageOf({ ca: files().ca }, `127.0.0.1:${port}`)).toMatch(/didn't answer within 1000 ms/);
      const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
      for (const socket of sockets) socket.resume();
      await Promise.all(closed.slice(0, 1));
    });

    it('certificates that can’t be used are refused when it opens, and wrong options before', async () => {
      const backend = (tls: unknown) => zookeeper({ servers: server.url, tls: tls as never }).create(createContext([]));
      const unreadable = backend({ caFile: '/does/not/exist.pem' });
      await expect(unreadable.open()).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'tls.caFile' });
      await unreadable.close();
      for (const [tls, field] of [
        [{ cas: 'x' }, 'tls.cas'],
        [{ cert: 'x' }, 'tls.key'],
        [true, 'tls'],
      ] as const) {
        expect(() => backend(tls)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field }));
      }
    });
  });
});
