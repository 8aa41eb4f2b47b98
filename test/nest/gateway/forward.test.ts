import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { All, Controller, Inject, Module, Req, Res, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePortWith } from '../../servers/free-port.js';
import { DiscoveryModule, type DiscoveryModuleOptions } from '../../../lib/index.js';
import {
  ServiceGatewayModule,
  ServiceProxy,
  type ForwardOptions,
  type ForwardResult,
  type ServiceGatewayOptions,
} from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf, type Platform } from '../support.js';
import { ask, open, raw, upstream, type Upstream } from './support.js';

const apps: INestApplication[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close().catch(() => {});
});

let options: ForwardOptions | undefined;
let results: ForwardResult[] = [];
let target = 'lb://STOCK';
beforeEach(() => {
  options = undefined;
  results = [];
  target = 'lb://STOCK';
});

@Controller()
class GatewayController {
  constructor(@Inject(ServiceProxy) private readonly proxy: ServiceProxy) {}

  @All('*') async all(@Req() request: object, @Res() response: object): Promise<void> {
    results.push(await this.proxy.forward(request, response, target, options));
  }
}

interface Setup {
  readonly bodyParser?: boolean;
  readonly rawBody?: boolean;
  readonly gateway?: ServiceGatewayOptions;
  readonly discovery?: Partial<DiscoveryModuleOptions>;
}

async function gateway(platform: Platform, registry: InMemoryRegistry, setup: Setup = {}): Promise<number> {
  const backend = registry.backend();
  @Module({
    controllers: [GatewayController],
    imports: [
      ServiceGatewayModule.forRoot(setup.gateway),
      DiscoveryModule.forRoot({ registry: backend, config: backend, ...setup.discovery }),
    ],
  })
  class AppModule {}
  const nest = {
    logger: false as const,
    abortOnError: false,
    bodyParser: setup.bodyParser ?? false,
    rawBody: setup.rawBody ?? false,
  };
  const adapter = new FastifyAdapter();
  const app =
    platform === 'fastify'
      ? await NestFactory.create(AppModule as Type, adapter, nest)
      : await NestFactory.create(AppModule as Type, nest);
  apps.push(app);
  if (platform === 'fastify' && setup.bodyParser !== true) {
    const instance = adapter.getInstance();
    instance.removeAllContentTypeParsers();
    instance.addContentTypeParser('*', (_request: unknown, _payload: unknown, done: (error: null) => void) =>
      done(null),
    );
  }
  await app.listen(0, '127.0.0.1');
  return portOf(app);
}

function stock(...ports: number[]): InMemoryRegistry {
  const registry = new InMemoryRegistry();
  for (const port of ports) registry.addInstance('STOCK', { port });
  return registry;
}

/** A gateway before one service. */
async function before(
  platform: Platform,
  answer?: (request: IncomingMessage, response: ServerResponse) => void,
  setup?: Setup,
): Promise<{ readonly port: number; readonly service: Upstream }> {
  const service = await upstream(answer);
  return { service, port: await gateway(platform, stock(service.port), setup) };
}

describe.each(['express', 'fastify'] as const)('forward() in a controller, on %s', (platform) => {
  test('passes on method, path, query and headers, several of a name too', async () => {
    const { port, service } = await before(platform);
    const answer = await ask(port, '/orders/7%20a?full=1&x=%2F', {
      method: 'PATCH',
      headers: { 'X-Own': 'a', 'x-list': ['1', '2'], cookie: 'a=b; c=d' },
      body: 'payload',
    });
    expect(answer.status).toBe(200);
    const [seen] = service.seen;
    expect(seen).toMatchObject({ method: 'PATCH', url: '/orders/7%20a?full=1&x=%2F' });
    expect(seen?.body.toString()).toBe('payload');
    expect(seen?.rawHeaders).toContain('X-Own');
    expect(seen?.rawHeaders.filter((_, at) => seen.rawHeaders[at - 1] === 'x-list')).toEqual(['1', '2']);
    expect(seen?.headers.cookie).toBe('a=b; c=d');
    expect(seen?.headers.host).toBe(`127.0.0.1:${service.port}`);
    expect(results).toMatchObject([
      { service: 'STOCK', status: 200, attempts: 1, instance: `http://127.0.0.1:${service.port}` },
    ]);
  });

  test('takes a prefix off and tells of it, sets a path, changes headers of both', async () => {
    const { port, service } = await before(platform);
    options = {
      prefix: '/api/',
      headers: { 'x-added': ['1', '2'], 'X-Secret': null, accept: 'text/plain' },
      responseHeaders: { 'content-type': null, 'x-by': 'gateway' },
    };
    const answer = await ask(port, '/api/orders?x=1', { headers: { 'x-secret': 's', accept: 'a/b' } });
    expect(service.seen[0]).toMatchObject({ url: '/orders?x=1' });
    expect(service.seen[0]?.headers).toMatchObject({
      'x-added': '1, 2',
      accept: 'text/plain',
      'x-forwarded-prefix': '/api',
    });
    expect(service.seen[0]?.headers).not.toHaveProperty('x-secret');
    expect(answer.headers).toMatchObject({ 'x-by': 'gateway' });
    expect(answer.headers).not.toHaveProperty('content-type');
    await ask(port, '/apix');
    expect(service.seen[1]).toMatchObject({ url: '/apix' });
    expect(service.seen[1]?.headers).not.toHaveProperty('x-forwarded-prefix');
    options = { path: '/fixed?y=2' };
    target = 'lb://STOCK/base/';
    await ask(port, '/whatever');
    expect(service.seen[2]?.url).toBe('/base/fixed?y=2');
  });

  test('leaves out what concerns one connection, and what Connection names', async () => {
    const { port, service } = await before(platform, undefined);
    await ask(port, '/', {
      headers: {
        connection: 'keep-alive, X-Hop',
        'x-hop': '1',
        'keep-alive': 'timeout=1',
        'proxy-authorization': 'Basic c2VjcmV0',
        te: 'trailers, deflate',
        'x-kept': '1',
      },
    });
    const { headers } = service.seen[0] ?? {};
    for (const name of ['x-hop', 'proxy-authorization', 'upgrade']) expect(headers).not.toHaveProperty(name);
    expect(headers).toMatchObject({ te: 'trailers', 'x-kept': '1' });
    expect(headers?.['keep-alive']).toBeUndefined();
  });

  test('the same of an answer', async () => {
    const { port } = await before(platform, (_request, response) => {
      response.setHeader('connection', 'x-hop');
      response.setHeader('x-hop', '1');
      response.setHeader('keep-alive', 'timeout=77');
      response.setHeader('proxy-authenticate', 'Basic');
      response.setHeader('x-kept', '1');
      response.end('ok');
    });
    const { headers } = await ask(port, '/');
    expect(headers).toMatchObject({ 'x-kept': '1' });
    for (const name of ['x-hop', 'proxy-authenticate']) expect(headers).not.toHaveProperty(name);
    expect(headers['keep-alive']).not.toBe('timeout=77');
  });

  test('says where a request came from; claims of strangers are dropped', async () => {
    const { port, service } = await before(platform);
    await ask(port, '/', {
      headers: {
        host: 'shop.example:8443',
        'x-forwarded-for': '6.6.6.6',
        'x-forwarded-host': 'evil',
        'x-real-ip': '6.6.6.6',
        forwarded: 'for=6.6.6.6',
      },
    });
    expect(service.seen[0]?.headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': 'shop.example:8443',
      'x-forwarded-proto': 'http',
      'x-forwarded-port': '8443',
      forwarded: 'for=127.0.0.1;host="shop.example:8443";proto=http',
    });
    expect(service.seen[0]?.headers).not.toHaveProperty('x-real-ip');
  });

  test('of trusted networks the chain goes on', async () => {
    const clients: (string | undefined)[] = [];
    const { port, service } = await before(platform, undefined, {
      gateway: { trustedProxies: ['loopback', '10.0.0.0/8'], onAccess: ({ client }) => void clients.push(client) },
    });
    await ask(port, '/', {
      headers: {
        'x-forwarded-for': '6.6.6.6, 10.1.2.3',
        'x-forwarded-host': 'shop.example',
        'x-forwarded-proto': 'https',
        'x-forwarded-port': '443',
        forwarded: 'for=6.6.6.6;proto=https',
      },
    });
    expect(service.seen[0]?.headers).toMatchObject({
      'x-forwarded-for': '6.6.6.6, 10.1.2.3, 127.0.0.1',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '443',
    });
    expect(service.seen[0]?.headers.forwarded).toMatch(/^for=6\.6\.6\.6;proto=https, for=127\.0\.0\.1;/);
    await expect.poll(() => clients).toEqual(['6.6.6.6']);
  });

  test('keeps the Host, or sets one, when asked', async () => {
    const { port, service } = await before(platform);
    options = { host: 'keep' };
    await ask(port, '/', { headers: { host: 'shop.example' } });
    options = { host: 'inner.example' };
    await ask(port, '/', { headers: { host: 'shop.example' } });
    expect(service.seen.map(({ headers }) => headers.host)).toEqual(['shop.example', 'inner.example']);
  });

  test('HEAD, 204, 304, ranges, several cookies and redirects come as they are', async () => {
    const { port } = await before(platform, (request, response) => {
      response.setHeader('set-cookie', ['a=1; Path=/', 'b=2; HttpOnly']);
      response.setHeader('etag', '"x"');
      if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '1234' }).end();
      else if (request.url === '/204') response.writeHead(204).end();
      else if (request.url === '/304') response.writeHead(304).end();
      else if (request.url === '/302') response.writeHead(302, 'Over There', { location: '/elsewhere' }).end();
      else response.writeHead(206, { 'content-range': 'bytes 2-4/10', 'content-length': '3' }).end('cde');
    });
    const head = await ask(port, '/', { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': '1234' } });
    expect(head.headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2; HttpOnly']);
    expect(await ask(port, '/204')).toMatchObject({ status: 204, headers: { etag: '"x"' } });
    expect(await ask(port, '/304')).toMatchObject({ status: 304, headers: { etag: '"x"' } });
    expect(await ask(port, '/302')).toMatchObject({ status: 302, headers: { location: '/elsewhere' } });
    const part = await ask(port, '/part', { headers: { range: 'bytes=2-4' } });
    expect(part).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 2-4/10' } });
    expect(part.text()).toBe('cde');
  });

  test('gzip is left alone', async () => {
    const zipped = gzipSync('hello '.repeat(1000));
    const { port } = await before(platform, (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': String(zipped.length) }).end(zipped);
    });
    const answer = await ask(port, '/', { headers: { 'accept-encoding': 'gzip' } });
    expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', 'content-length': String(zipped.length) });
    expect(answer.body.equals(zipped)).toBe(true);
  });

  test('trailers of an answer', async () => {
    const { port } = await before(platform, (_request, response) => {
      response.writeHead(200, { trailer: 'X-Sum' });
      response.write('abc');
      response.addTrailers({ 'X-Sum': '99' });
      response.end();
    });
    const answer = await ask(port, '/', { headers: { te: 'trailers' } });
    expect(answer.text()).toBe('abc');
    expect(answer.trailers).toEqual({ 'x-sum': '99' });
  });

  test('early hints', async () => {
    const { port } = await before(platform, (_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.end('ok');
    });
    const text = await raw(port, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style\.css>; rel=preload\r\n/i);
    expect(text).toContain('HTTP/1.1 200 OK');
  });

  test('Expect: 100-continue is answered, and the body arrives', async () => {
    const { port, service } = await before(platform);
    const socket = open(port);
    let text = '';
    socket.on('data', (piece: Buffer) => (text += piece.toString()));
    socket.write(
      'POST /up HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\nconnection: close\r\n\r\n',
    );
    await expect.poll(() => text).toContain('100 Continue');
    socket.write('hello');
    await once(socket, 'close');
    expect(text).toContain('HTTP/1.1 200 OK');
    expect(service.seen[0]?.body.toString()).toBe('hello');
    expect(service.seen[0]?.headers).not.toHaveProperty('expect');
  });

  test('a large upload and a large download arrive whole, chunked too', async () => {
    const bytes = randomBytes(8 * 1024 * 1024);
    const digest = createHash('md5').update(bytes).digest('hex');
    const { port, service } = await before(platform, (request, response) => {
      const hash = createHash('md5');
      request.on('data', (piece: Buffer) => hash.update(piece));
      request.on('end', () => {
        response.setHeader('x-md5', hash.digest('hex'));
        response.setHeader('x-length', request.headers['content-length'] ?? 'chunked');
        response.end(bytes);
      });
    });
    const known = await ask(port, '/', { method: 'PUT', body: bytes, headers: { 'content-length': bytes.length } });
    expect(known.headers).toMatchObject({ 'x-md5': digest, 'x-length': String(bytes.length) });
    expect(known.body.equals(bytes)).toBe(true);
    const chunked = await ask(port, '/', { method: 'POST', body: bytes, headers: { 'transfer-encoding': 'chunked' } });
    expect(chunked.headers).toMatchObject({ 'x-md5': digest, 'x-length': 'chunked' });
    expect(service.server.listening).toBe(true);
  });

  test('a slow reader holds the service back', async () => {
    let written = 0;
    const { port } = await before(platform, (_request, response) => {
      const piece = Buffer.alloc(64 * 1024);
      const write = (): void => {
        while (written < 200 * 1024 * 1024) {
          written += piece.length;
          if (!response.write(piece)) return void response.once('drain', write);
        }
        response.end();
      };
      write();
    });
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ port, host: '127.0.0.1', path: '/', agent: false }, resolve).end();
    });
    response.pause();
    // It has stopped when it hasn't gone on for a while.
    let last = -1;
    await expect
      .poll(
        () => {
          const stands = written === last;
          last = written;
          return stands;
        },
        { interval: 200 },
      )
      .toBe(true);
    expect(written).toBeLessThan(100 * 1024 * 1024);
    response.destroy();
  });

  test('what is silent is told of at once: an event stream whose first event is long in coming', async () => {
    let stream: ServerResponse | undefined;
    const { port } = await before(platform, (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      stream = response;
    });
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ port, host: '127.0.0.1', path: '/', agent: false }, resolve).end();
    });
    expect(response.headers['content-type']).toBe('text/event-stream');
    stream?.write('data: 1\n\n');
    const [piece] = (await once(response, 'data')) as [Buffer];
    expect(piece.toString()).toBe('data: 1\n\n');
    response.destroy();
    await expect.poll(() => stream?.destroyed).toBe(true);
    await expect.poll(() => results).toMatchObject([{ status: 200, code: 'CLIENT_GONE' }]);
  });

  test('whoever goes away before the answer ends the request at the service', async () => {
    let gone = false;
    let came = false;
    const { port } = await before(platform, (request) => {
      came = true;
      request.socket.once('close', () => (gone = true));
    });
    const socket = open(port);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => came).toBe(true);
    socket.destroy();
    await expect.poll(() => gone).toBe(true);
    await expect.poll(() => results).toMatchObject([{ status: 0, code: 'CLIENT_GONE' }]);
  });

  test('an upload that breaks off is broken off at the service', async () => {
    let aborted = false;
    const { port } = await before(platform, (request) => {
      request.resume();
      request.once('error', () => (aborted = true));
    });
    const socket = open(port);
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc');
    await expect.poll(() => results.length + Number(socket.bytesWritten > 0)).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    await expect.poll(() => aborted).toBe(true);
  });

  test('an answer that breaks off is not ended well', async () => {
    const { port } = await before(platform, (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('abc', () => response.destroy());
    });
    await expect(ask(port, '/')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect.poll(() => results).toMatchObject([{ status: 200, code: 'UPSTREAM_FAILED' }]);
  });

  test('an instance whose answers break off is left out, as one is that can’t be reached', async () => {
    let asked = 0;
    const breaking = await upstream((_request, response) => {
      asked += 1;
      response.writeHead(200, { 'content-length': '100' });
      response.write('abc', () => response.destroy());
    });
    const port = await gateway(platform, stock(breaking.port, (await upstream()).port), {
      discovery: { http: { balancing: 'round-robin' } },
    });
    for (let i = 0; i < 40; i += 1) await ask(port, '/').catch(() => {});
    await expect.poll(() => results.length).toBe(40);
    expect(asked).toBeGreaterThan(0);
    // Every second one without it.
    expect(asked).toBeLessThan(10);
  });

  test('goes to the next instance when one can’t be reached, whatever the method', async () => {
    const service = await upstream();
    const gone = { port: await freePortWith([]) };
    const port = await gateway(platform, stock(gone.port, service.port));
    for (let i = 0; i < 4; i += 1) {
      expect((await ask(port, '/', { method: 'POST', body: 'once' })).status).toBe(200);
    }
    expect(service.seen.map(({ body }) => body.toString())).toEqual(['once', 'once', 'once', 'once']);
    expect(results.some(({ attempts }) => attempts === 2)).toBe(true);
  });

  test('a 503 is tried elsewhere for what may be sent twice; without a better one it is passed on as it is', async () => {
    let asked = 0;
    const busy = await upstream((request, response) => {
      asked += 1;
      request.resume();
      response.writeHead(503, { 'content-type': 'text/plain', 'retry-after': '7' }).end('busy');
    });
    const well = await upstream();
    const port = await gateway(platform, stock(busy.port, well.port), { discovery: { http: { ejection: false } } });
    const statuses = [];
    for (let i = 0; i < 4; i += 1) statuses.push((await ask(port, '/')).status);
    expect(statuses).toEqual([200, 200, 200, 200]);
    expect(asked).toBeGreaterThan(0);
    const alone = await gateway(platform, stock(busy.port), { discovery: { http: { ejection: false } } });
    const answer = await ask(alone, '/');
    expect(answer).toMatchObject({ status: 503, headers: { 'content-type': 'text/plain', 'retry-after': '7' } });
    expect(answer.text()).toBe('busy');
  });

  test('a body that was begun to be sent is sent nowhere else', async () => {
    let arrived = 0;
    const breaking = (request: IncomingMessage): void => {
      arrived += 1;
      request.once('data', () => request.socket.destroy());
    };
    const [one, other] = [await upstream(breaking), await upstream(breaking)];
    const port = await gateway(platform, stock(one.port, other.port));
    const answer = await ask(port, '/', { method: 'PUT', body: Buffer.alloc(1024 * 1024) });
    expect(answer).toMatchObject({ status: 502, headers: { 'content-type': 'application/problem+json' } });
    expect(answer.json()).toMatchObject({ status: 502, code: 'UPSTREAM_FAILED', service: 'STOCK' });
    expect(arrived).toBe(1);
  });

  test('nobody to call: 503 with Retry-After; nobody who knows: 503 too', async () => {
    const registry = stock();
    const port = await gateway(platform, registry);
    const none = await ask(port, '/');
    expect(none).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    expect(none.json()).toMatchObject({ code: 'NO_INSTANCE', title: 'Service Unavailable', type: 'about:blank' });
    registry.fail();
    target = 'lb://NEVER-SEEN';
    const unknown = await ask(port, '/');
    expect(unknown).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    expect(unknown.json()).toMatchObject({ code: 'NO_SNAPSHOT' });
  });

  test('an answer that takes too long: 504, and the service is let go', async () => {
    let gone = false;
    const { port } = await before(platform, (request) => void request.socket.once('close', () => (gone = true)));
    options = { timeoutMs: 50 };
    const answer = await ask(port, '/');
    expect(answer.status).toBe(504);
    expect(answer.json()).toMatchObject({ code: 'TIMEOUT', service: 'STOCK' });
    await expect.poll(() => gone).toBe(true);
  });

  test('an upload may take longer than the time-out, as long as it goes on', async () => {
    const { port, service } = await before(platform);
    options = { timeoutMs: 300 };
    const socket = open(port);
    let text = '';
    socket.on('data', (piece: Buffer) => (text += piece.toString()));
    socket.write('POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 8\r\n\r\n');
    for (let i = 0; i < 8; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      socket.write('x');
    }
    await once(socket, 'close');
    expect(text).toContain('HTTP/1.1 200 OK');
    expect(service.seen[0]?.body.toString()).toBe('xxxxxxxx');
  });

  test('with onFailure: throw the failure is the app’s', async () => {
    const port = await gateway(platform, stock());
    options = { onFailure: 'throw' };
    const answer = await ask(port, '/');
    expect(answer.status).toBe(500);
    expect(answer.json()).toEqual({ statusCode: 500, message: 'Internal server error' });
    expect(results).toEqual([]);
  });

  test('Server-Timing when asked', async () => {
    const { port } = await before(platform, (_request, response) => {
      response.setHeader('server-timing', 'db;dur=3');
      response.end();
    });
    options = { serverTiming: true };
    const { headers } = await ask(port, '/');
    expect(headers['server-timing']).toMatch(/gateway;desc="STOCK";dur=\d+, attempts;desc="1"/);
    expect(headers['server-timing']).toContain('db;dur=3');
  });

  describe('after the app’s body parsers', () => {
    test('JSON and forms are sent again as they were', async () => {
      const { port, service } = await before(platform, undefined, { bodyParser: true });
      await ask(port, '/', {
        method: 'POST',
        body: '{ "a": [1, "ü"] }',
        headers: { 'content-type': 'application/json' },
      });
      expect(JSON.parse(service.seen[0]?.body.toString() ?? '')).toEqual({ a: [1, 'ü'] });
      expect(service.seen[0]?.headers['content-length']).toBe(String(service.seen[0]?.body.length));
      await ask(port, '/', {
        method: 'POST',
        body: 'a=1&list=x&list=y&text=%C3%BC+z',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
      const form = new URLSearchParams(service.seen[1]?.body.toString());
      expect([...form]).toEqual([
        ['a', '1'],
        ['list', 'x'],
        ['list', 'y'],
        ['text', 'ü z'],
      ]);
    });

    test('the raw body is used where there is one', async () => {
      const { port, service } = await before(platform, undefined, { bodyParser: true, rawBody: true });
      const body = '{ "spaces" :   1 }';
      await ask(port, '/', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
      expect(service.seen[0]?.body.toString()).toBe(body);
    });

    test('a body that nobody has parsed is streamed', async () => {
      if (platform === 'fastify') return;
      const { port, service } = await before(platform, undefined, { bodyParser: true });
      await ask(port, '/', { method: 'POST', body: 'abc', headers: { 'content-type': 'application/octet-stream' } });
      expect(service.seen[0]?.body.toString()).toBe('abc');
    });

    test('what Express has unpacked is not called gzip any more', async () => {
      if (platform === 'fastify') return;
      const { port, service } = await before(platform, undefined, { bodyParser: true });
      await ask(port, '/', {
        method: 'POST',
        body: gzipSync('{"a":1}'),
        headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      });
      expect(service.seen[0]?.body.toString()).toBe('{"a":1}');
      expect(service.seen[0]?.headers).not.toHaveProperty('content-encoding');
    });
  });

  test('too large a request: 413, by its word and by its bytes', async () => {
    const { port, service } = await before(platform);
    options = { maxRequestBytes: 10 };
    expect(await ask(port, '/', { method: 'POST', body: 'x'.repeat(11) })).toMatchObject({ status: 413 });
    const chunked = await ask(port, '/', {
      method: 'POST',
      body: 'x'.repeat(11),
      headers: { 'transfer-encoding': 'chunked' },
    });
    expect(chunked).toMatchObject({ status: 413, headers: { connection: 'close' } });
    expect(chunked.json()).toMatchObject({ code: 'REQUEST_TOO_LARGE' });
    expect((await ask(port, '/', { method: 'POST', body: 'x'.repeat(10) })).status).toBe(200);
    expect(service.seen).toHaveLength(1);
  });
});

test('wrong options and targets are refused by name', async () => {
  const port = await gateway('express', stock());
  const proxy = (): ServiceProxy => {
    const [app] = apps;
    if (app === undefined) throw new Error('there is one');
    return app.get(ServiceProxy);
  };
  expect(port).toBeGreaterThan(0);
  const refused = (given: object, to = 'lb://STOCK') => proxy().forward({}, {}, to, given);
  await expect(refused({ timeout: 1 })).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'timeout' });
  await expect(refused({ headers: { 'x-bad': 'a\r\nevil: 1' } })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  await expect(refused({ headers: { 'transfer-encoding': 'chunked' } })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
  });
  await expect(refused({}, 'http://10.0.0.1')).rejects.toMatchObject({ code: 'INVALID_NAME', field: 'target' });
  await expect(refused({}, 'lb://')).rejects.toMatchObject({ code: 'INVALID_NAME' });
  await expect(refused({})).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'request' });
  expect(() => ServiceGatewayModule.forRoot({ trustedProxies: 'all' as never })).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field: 'trustedProxies' }),
  );
});
