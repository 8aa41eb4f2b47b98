import { Module } from '@nestjs/common';
import { beforeEach, describe, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { DetailsUpstream } from '../../gateway-peers/upstream.js';
import { createOn, portOf } from '../support.js';
import { afterTest, ask, raw } from './support.js';

/** What would be asked next if a request were read as two. */
const SMUGGLED = 'GET /public/smuggled HTTP/1.1\r\nhost: x\r\n\r\n';

/** Resolves with what is answered; the connection is to be closed after it. */
const send = (port: number, head: string, body = ''): Promise<string> =>
  raw(port, `${head}\r\nconnection: close\r\n\r\n${body}`);

describe.each(['express', 'fastify'] as const)('requests byte by byte, on %s', (platform) => {
  let service: DetailsUpstream;
  let port = 0;
  beforeEach(async () => {
    service = await DetailsUpstream.start();
    afterTest(() => service.close());
    const registry = new InMemoryRegistry();
    registry.addInstance('A', { port: service.port });
    const backend = registry.backend();
    @Module({
      imports: [
        ServiceGatewayModule.forRoot({ routes: [{ path: '/public/**', service: 'A', stripPrefix: 1 }] }),
        DiscoveryModule.forRoot({ registry: backend, config: backend }),
      ],
    })
    class AppModule {}
    const app = await createOn(platform, AppModule);
    await app.listen(0, '127.0.0.1');
    port = portOf(app);
  });
  test.each([
    ['a line end in a value', 'x: a\rb: c'],
    ['one of the other kind', 'x: a\nset: c'],
    ['a NUL in a value', 'x: a\0b'],
    ['a blank in a name', 'x y: 1'],
    ['a blank after a name', 'x : 1'],
    ['a name that is empty', ': 1'],
    ['a name with a line end', 'x\ry: 1'],
    ['a header of two lines', 'x: a\r\n transfer-encoding: chunked'],
    ['a host that is missing', 'x-host: none'],
  ])('a head with %s', async (name, header) => {
    const host = name.startsWith('a host') ? '' : 'host: x\r\n';
    const text = await send(port, `POST /public/x HTTP/1.1\r\n${host}${header}\r\ncontent-length: 0`, SMUGGLED);
    for (const seen of service.seen) {
      expect(seen.url).toBe('/x');
      // Read as one header, as old clients mean it, or not at all.
      expect(seen.headers).not.toHaveProperty('transfer-encoding');
      expect(seen.headers).not.toHaveProperty('set');
      expect(seen.headers).not.toHaveProperty('b');
      expect(seen.rawHeaders.join('')).not.toMatch(/[\r\n\0]/);
    }
    if (service.seen.length === 0) expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  test.each([
    ['chunks with a size that is none', 'zz\r\nabc\r\n0\r\n\r\n'],
    ['chunks with a size beyond numbers', 'fffffffffffffffff1\r\nabc\r\n0\r\n\r\n'],
    ['chunks longer than they say', `2\r\nabc\r\n0\r\n\r\n${SMUGGLED}`],
    ['chunks with line feeds only', `3\nabc\n0\n\n${SMUGGLED}`],
    ['an extension with a line end', `3;x\ny\r\nabc\r\n0\r\n\r\n${SMUGGLED}`],
  ])('%s break off, and nothing is read out of them', async (_, body) => {
    const text = await raw(port, `POST /public/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${body}`);
    expect(text).not.toMatch(/HTTP\/1\.1 2/);
    expect(service.seen.filter(({ url, state }) => url === '/smuggled' || state === 'complete')).toEqual([]);
  });

  test('no CONNECT, and no other target that is no path', async () => {
    for (const target of ['CONNECT evil.example:443', 'OPTIONS *', 'GET evil.example:80', 'GET ftp://x/public/x']) {
      expect(await send(port, `${target} HTTP/1.1\r\nhost: x`), target).not.toMatch(/^HTTP\/1\.1 2/);
    }
    expect(service.seen).toEqual([]);
    // The other form of a target, as proxies get it: its host is nobody whom the gateway would ask.
    await send(port, 'GET http://evil.example/public/x HTTP/1.1\r\nhost: evil.example');
    expect(service.seen).toMatchObject([{ url: '/x', headers: { host: `127.0.0.1:${service.port}` } }]);
  });

  test.each([
    '/public/\0',
    '/public/..%00/x',
    '/public/%2e%2e%2fadmin',
    '/public/%2E%2E/admin',
    '/public/..;/admin',
    '/public/..;x=1/admin',
    '/public/..\\admin',
    '/public\\..\\admin',
    '/public/%5c%2e%2e%5cadmin',
    '/public/x#/../admin',
    '/public/%c0%ae%c0%ae/admin',
    '/public/%u002e%u002e/admin',
    '/public/%',
  ])('%j reaches no service', async (path) => {
    expect(await send(port, `GET ${path} HTTP/1.1\r\nhost: x`)).toMatch(/^HTTP\/1\.1 40[04] /);
    expect(service.seen).toEqual([]);
  });

  test('what is encoded twice is decoded by nobody', async () => {
    await send(port, 'GET /public/%252e%252e%252fadmin?x=%2e%2e%2f HTTP/1.1\r\nhost: x');
    expect(service.seen.map(({ url }) => url)).toEqual(['/%252e%252e%252fadmin?x=%2e%2e%2f']);
  });

  test('ten thousand headers are refused, and more than Node tells of', async () => {
    const many = (count: number, header: string): string => `${header}\r\n`.repeat(count);
    // Node counts the bytes of names and values, and tells of two thousand: the length of the body comes after them.
    for (const [head, body] of [
      [`${many(10_000, 'a: 1')}x: 1`],
      [`${many(10_000, 'a:')}x: 1`],
      [`${many(3000, 'a:')}content-length: 5`, 'hello'],
    ]) {
      expect(await send(port, `POST /public/x HTTP/1.1\r\nhost: x\r\n${head}`, body)).toMatch(/^HTTP\/1\.1 431 /);
    }
    expect(service.seen).toEqual([]);
    expect(
      await send(port, `POST /public/x HTTP/1.1\r\nhost: x\r\n${many(500, 'a:')}content-length: 5`, 'hello'),
    ).toMatch(/^HTTP\/1\.1 200 /);
    expect(service.seen).toMatchObject([{ body: 'hello' }]);
  });

  test.each([
    ['HTTP/2', 'GET', 'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__'],
    ['another protocol', 'GET', 'connection: Upgrade\r\nupgrade: tcp'],
    ['one of several', 'GET', 'connection: Upgrade\r\nupgrade: h2c, websocket'],
    ['a WebSocket by another method', 'POST', 'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13'],
  ])('an upgrade to %s is not passed on: what follows could not be looked at', async (_, method, headers) => {
    const text = await raw(
      port,
      `${method} /public/chat HTTP/1.1\r\nhost: x\r\n${headers}\r\ncontent-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"BAD_UPGRADE"');
    expect(service.seen).toEqual([]);
    expect(service.sockets).toEqual([]);
  });

  test('the gateway is well after all of it', async () => {
    expect((await ask(port, '/public/x')).status).toBe(200);
  });
});
