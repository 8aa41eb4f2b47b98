import { createServer, type Socket } from 'node:net';
import { All, Controller, Inject, Module, Req, Res } from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule, ServiceProxy, type GatewayRoute } from '../../../lib/integrations/gateway/index.js';
import { normalPath } from '../../../lib/integrations/gateway/normal-path.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createOn, portOf, type Platform } from '../support.js';
import { afterTest, ask, open, raw, upstream } from './support.js';

/** Calls whatever the path names. */
@Controller('by-name')
class ByNameController {
  constructor(@Inject(ServiceProxy) private readonly proxy: ServiceProxy) {}

  @All('*') async any(@Req() request: { url: string }, @Res() response: object): Promise<void> {
    const name = request.url.split('/')[2] ?? '';
    await this.proxy.forward(request, response, `lb://${name}`, { path: '/' });
  }
}

async function gateway(
  platform: Platform,
  registry: InMemoryRegistry,
  routes: readonly GatewayRoute[],
): Promise<number> {
  const backend = registry.backend();
  @Module({
    controllers: [ByNameController],
    imports: [
      ServiceGatewayModule.forRoot({ routes }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule);
  await app.listen(0, '127.0.0.1');
  return portOf(app);
}

const ROUTES: readonly GatewayRoute[] = [{ path: '/public/**', service: 'A', stripPrefix: 1 }];

/** A server that answers every request with these bytes. */
async function saying(bytes: string | Buffer): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => socket.end(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

describe('paths', () => {
  test.each([
    ['/a/b', '/a/b'],
    ['/', '/'],
    ['//a///b', '/a/b'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/%2e%2E/b', '/b'],
    ['/a/.%2e/b/', '/b/'],
    ['/a/b/..', '/a/'],
    ['/a/b/.', '/a/b/'],
    ['/a%20b/%c3%bc', '/a%20b/%c3%bc'],
    ['http://evil.example/a/b', '/a/b'],
    ['/a;x=1/b', '/a;x=1/b'],
  ])('%s is %s', (given, path) => {
    expect(normalPath(given)?.path).toBe(path);
  });

  test.each([
    '/a/%2f/b',
    '/a%2Fb',
    '/a%5cb',
    '/a\\b',
    '/..',
    '/../a',
    '/a/../../b',
    '/%2e%2e/a',
    '/a/..;/b',
    '/a/..;x=1/b',
    '/a/%00',
    '/a/%0d%0aevil:1',
    '/a/%',
    '/a/%zz',
    '/a/%ff',
    '/a#b',
    '/ä',
    '*',
    'evil.example:443',
    'ftp://evil.example/a',
    '/a?x=\r\ny',
    `/${'a'.repeat(70_000)}`,
  ])('%s is refused', (given) => {
    expect(normalPath(given)).toBeUndefined();
  });
});

describe.each(['express', 'fastify'] as const)('hostile input, on %s', (platform) => {
  test('no way of writing a path leads out of a route', async () => {
    const service = await upstream();
    const registry = new InMemoryRegistry();
    registry.addInstance('A', { port: service.port });
    const port = await gateway(platform, registry, ROUTES);
    for (const path of [
      '/public/../admin',
      '/public/%2e%2e/admin',
      '/public/..%2fadmin',
      '/public/..;/admin',
      '/public/%5c..%5cadmin',
      '/public/x%2f..%2f..%2fadmin',
    ]) {
      const text = await raw(port, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      expect(text).toMatch(/^HTTP\/1\.1 40[04]/);
    }
    expect(service.seen).toEqual([]);
    await raw(port, 'GET /x/..//public/./a/../b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(service.seen.map(({ url }) => url)).toEqual(['/b']);
  });

  test('two lengths, a length and chunks, odd line ends and odd chunks never reach a service', async () => {
    const service = await upstream();
    const registry = new InMemoryRegistry();
    registry.addInstance('A', { port: service.port });
    const port = await gateway(platform, registry, ROUTES);
    const smuggled = 'GET /public/smuggled HTTP/1.1\r\nhost: x\r\n\r\n';
    for (const head of [
      `content-length: 4\r\ncontent-length: ${smuggled.length + 4}`,
      'content-length: 4, 5',
      'content-length: 4\r\ntransfer-encoding: chunked',
      'transfer-encoding: chunked\r\ncontent-length: 4',
      'transfer-encoding: xchunked',
      'transfer-encoding: chunked\r\ntransfer-encoding: identity',
      'transfer-encoding : chunked',
      'transfer-encoding:\x0bchunked',
      'content-length: +4',
      'content-length: 0x4',
      'x: y\nevil: 1\rtransfer-encoding: chunked',
      ' content-length: 4',
      'x\x00y: 1',
    ]) {
      const text = await raw(
        port,
        `POST /public/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${head}\r\n\r\n0\r\n\r\n${smuggled}`,
      );
      expect(text, head).not.toMatch(/HTTP\/1\.1 2/);
    }
    expect(service.seen.filter(({ url }) => url.includes('smuggled'))).toEqual([]);
  });

  test('what a service says that is no HTTP is a 502, and never a header of ours', async () => {
    const registry = new InMemoryRegistry();
    const port = await gateway(platform, registry, ROUTES);
    for (const bytes of [
      'garbage\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc',
      'HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n',
      'HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n',
      `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(100_000)}\r\n\r\n`,
      `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}\r\n`,
      'HTTP/1.1 999999 What\r\n\r\n',
      Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]),
      '',
    ]) {
      const bad = await saying(bytes);
      const { id } = registry.addInstance('A', { port: bad });
      const answer = await ask(port, '/public/x');
      expect(answer.status, String(bytes).slice(0, 60)).toBe(502);
      expect(answer.json()).toMatchObject({ code: 'UPSTREAM_FAILED' });
      expect(answer.text()).not.toContain(String(bad));
      registry.removeInstance('A', id);
    }
    // The gateway is well after all of it.
    registry.addInstance('A', { port: (await upstream()).port });
    expect((await ask(port, '/public/x')).status).toBe(200);
  });

  test('metadata steers nothing: a base path that leads elsewhere is left alone for a better instance', async () => {
    const service = await upstream();
    const registry = new InMemoryRegistry();
    const port = await gateway(platform, registry, ROUTES);
    for (const contextPath of [
      '/../admin',
      '..',
      '/a/%2e%2e/b',
      '/a?x=',
      '/a#',
      '/a b',
      '/a\r\nx: 1',
      '//evil.example/',
      '/a/..;/b',
      '@evil',
    ]) {
      const { id } = registry.addInstance('A', { port: service.port, metadata: { contextPath } });
      const { status } = await ask(port, '/public/x');
      // A name that is odd and leads nowhere else may be one.
      if (status === 200) expect(service.seen.pop()?.url, contextPath).toMatch(/^\/(evil\.example|@evil)\/x$/);
      else expect(status, contextPath).toBe(502);
      registry.removeInstance('A', id);
    }
    expect(service.seen).toEqual([]);
    registry.addInstance('A', { port: service.port, metadata: { contextPath: '/../admin' } });
    const better = await upstream();
    registry.addInstance('A', { port: better.port, metadata: { contextPath: 'api/' } });
    for (let i = 0; i < 4; i += 1) expect((await ask(port, '/public/x')).status).toBe(200);
    expect(service.seen).toEqual([]);
    expect(better.seen.map(({ url }) => url)).toEqual(['/api/x', '/api/x', '/api/x', '/api/x']);
    expect(() => registry.addInstance('A', { port: 1, host: 'good.example/evil' })).toThrow(
      expect.objectContaining({ code: 'INVALID_INSTANCE' }),
    );
  });

  test('thousands of names that nobody has leave no watches behind', async () => {
    const registry = new InMemoryRegistry();
    const port = await gateway(platform, registry, ROUTES);
    const names = Array.from({ length: 1500 }, (_, at) => `unknown-${at}`);
    while (names.length > 0) {
      const answers = await Promise.all(names.splice(0, 50).map((name) => ask(port, `/by-name/${name}`)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    }
    expect(registry.stats.openWatches).toBeLessThanOrEqual(600);
    for (const name of ['__proto__', '%2e%2e', 'a%2f..%2fb', '%00']) {
      expect((await ask(port, `/by-name/${name}`)).status).toBeGreaterThanOrEqual(400);
    }
  });

  test('a body that never ends is cut off at its limit, and the service with it', async () => {
    let bytes = 0;
    let gone = false;
    const service = await upstream((request) => {
      request.on('data', (piece: Buffer) => (bytes += piece.length));
      request.on('error', () => {});
      request.socket.once('close', () => (gone = true));
    });
    const registry = new InMemoryRegistry();
    registry.addInstance('A', { port: service.port });
    const port = await gateway(platform, registry, [
      { path: '/public/**', service: 'A', maxRequestBytes: 1024 * 1024 },
    ]);
    const socket = open(port);
    let text = '';
    socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('POST /public/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    const piece = Buffer.alloc(64 * 1024, 'x');
    const write = (): void => {
      while (!socket.destroyed && socket.writable) {
        socket.write(`${piece.length.toString(16)}\r\n`);
        socket.write(piece);
        if (!socket.write('\r\n')) return void socket.once('drain', write);
      }
    };
    write();
    await closed;
    expect(text).toMatch(/^HTTP\/1\.1 413 Payload Too Large/);
    await expect.poll(() => gone).toBe(true);
    expect(bytes).toBeLessThanOrEqual(1024 * 1024);
  });

  test('more headers than a server takes: 431, and the service sees nothing', async () => {
    const service = await upstream();
    const registry = new InMemoryRegistry();
    registry.addInstance('A', { port: service.port });
    const port = await gateway(platform, registry, ROUTES);
    const text = await raw(port, `GET /public/x HTTP/1.1\r\nhost: x\r\n${'x-a: 1234567890\r\n'.repeat(2000)}\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 431/);
    expect(service.seen).toEqual([]);
  });
});
