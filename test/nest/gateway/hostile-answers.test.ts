import { createServer, type Socket } from 'node:net';
import { Module } from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createOn, portOf, type Platform } from '../support.js';
import { afterTest, ask, raw } from './support.js';

/** A service that is no HTTP server: what it does with each request is up to `answer`, which is told how many there were. */
async function service(answer: (socket: Socket, count: number) => void): Promise<number> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (piece: Buffer) => {
      text += piece.toString('latin1');
      while (text.includes('\r\n\r\n')) {
        text = text.slice(text.indexOf('\r\n\r\n') + 4);
        answer(socket, (count += 1));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

/** A gateway before a service that answers so. */
async function before(
  platform: Platform,
  answer: (socket: Socket, count: number) => void,
  options: { readonly timeoutMs?: number; readonly maxConnectionsPerOrigin?: number } = {},
): Promise<number> {
  const { timeoutMs = 0, maxConnectionsPerOrigin = 100 } = options;
  const registry = new InMemoryRegistry();
  registry.addInstance('A', { port: await service(answer) });
  const backend = registry.backend();
  @Module({
    imports: [
      ServiceGatewayModule.forRoot({ routes: [{ path: '/**', service: 'A', timeoutMs }] }),
      DiscoveryModule.forRoot({ registry: backend, config: backend, transport: { maxConnectionsPerOrigin } }),
    ],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule);
  await app.listen(0, '127.0.0.1');
  return portOf(app);
}

const OK = 'HTTP/1.1 200 OK\r\n';

describe.each(['express', 'fastify'] as const)('a service that answers what it should not, on %s', (platform) => {
  test.each([
    ['a chunk size that is none', `${OK}transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n`],
    ['a chunk size beyond numbers', `${OK}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n`],
    ['a negative chunk size', `${OK}transfer-encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n`],
    ['a chunk longer than it says', `${OK}transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n`],
    ['a length and chunks', `${OK}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ['two lengths in one header', `${OK}content-length: 3, 4\r\n\r\nabcd`],
    ['a length that is none', `${OK}content-length: -3\r\n\r\nabc`],
    ['less than its length', `${OK}content-length: 10\r\n\r\nabc`],
    [
      'a coding under its chunks that nobody knows',
      `${OK}transfer-encoding: chunked, odd\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    ],
    ['a coding that nobody asked for', `${OK}transfer-encoding: gzip, chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n`],
    ['a header of two lines', `${OK}x: a\r\n set-cookie: evil=1\r\ncontent-length: 3\r\n\r\nabc`],
    ['a line end alone', `${OK}x: a\rset-cookie: evil=1\r\ncontent-length: 3\r\n\r\nabc`],
  ])('%s', async (_, bytes) => {
    const port = await before(platform, (socket) => socket.end(bytes));
    const answer = await ask(port, '/x').catch((error: NodeJS.ErrnoException) => error);
    // Told of by a status, by breaking off, or read by the words of the standard: then nothing is made of it besides.
    if (!(answer instanceof Error) && answer.status === 200) {
      expect(answer.headers).not.toHaveProperty('set-cookie');
      expect(answer.headers).not.toMatchObject({
        'content-length': expect.anything(),
        'transfer-encoding': expect.anything(),
      });
      expect(answer.text()).toBe('abc');
    } else if (!(answer instanceof Error)) {
      expect(answer.status).toBe(502);
    }
  });

  test('more than its length: what follows is nobody’s answer', async () => {
    const port = await before(
      platform,
      (socket, count) => {
        if (count === 1) socket.write(`${OK}content-length: 3\r\n\r\nabc${OK}content-length: 4\r\n\r\nevil`);
        else socket.write(`${OK}content-length: 4\r\n\r\ngood`);
      },
      { maxConnectionsPerOrigin: 1 },
    );
    // The second waits for the connection of the first.
    const [first, ...others] = await Promise.all(['/1', '/2', '/3'].map((path) => ask(port, path)));
    expect(first?.text()).toBe('abc');
    for (const other of [...others, await ask(port, '/4')]) expect(other.text()).toBe('good');
  });

  test('informational answers without an end: a 504, and few of them come through', async () => {
    let isOver = false;
    const port = await before(
      platform,
      (socket) => {
        socket.once('close', () => (isOver = true));
        const write = (): void => {
          if (socket.destroyed) return;
          if (socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n'.repeat(100)))
            setImmediate(write);
          else socket.once('drain', write);
        };
        write();
      },
      { timeoutMs: 300 },
    );
    const text = await raw(port, 'GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(text).toMatch(/HTTP\/1\.1 504 /);
    expect(text.split('HTTP/1.1 103 ').length - 1).toBeLessThanOrEqual(16);
    await expect.poll(() => isOver).toBe(true);
  });

  test('a head that never ends: a 504, and the service is let go', async () => {
    let isOver = false;
    const port = await before(
      platform,
      (socket) => {
        socket.write(`${OK}x: `);
        socket.once('close', () => (isOver = true));
      },
      { timeoutMs: 300 },
    );
    expect(await ask(port, '/x')).toMatchObject({ status: 504 });
    await expect.poll(() => isOver).toBe(true);
  });

  test('a head that goes on and on: a 502', async () => {
    const port = await before(platform, (socket) => {
      socket.write(OK);
      const write = (): void => {
        if (socket.destroyed) return;
        if (socket.write('x: yyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(100))) setImmediate(write);
        else socket.once('drain', write);
      };
      write();
    });
    expect(await ask(port, '/x')).toMatchObject({ status: 502 });
  });
});
