import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Post,
  Body,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { APP_GUARD, NestFactory, Reflector } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { freePortWith } from '../../servers/free-port.js';
import { switching } from '../../servers/switching.js';
import { DiscoveryModule } from '../../../lib/index.js';
import {
  ServiceGatewayModule,
  type GatewayAccess,
  type ServiceGatewayOptions,
} from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { LogCollector, portOf, type Platform } from '../support.js';
import { afterTest, ask, open, raw, upstream, type Upstream } from './support.js';

const apps: INestApplication[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close().catch(() => {});
});

@Controller()
class OwnController {
  @Get('own') own(): string {
    return 'own';
  }

  @Post('own') post(@Body() body: unknown): unknown {
    return { got: body };
  }
}

@Injectable()
class Keys {
  readonly valid = 'open sesame';
}

@Injectable()
class KeyGuard implements CanActivate {
  constructor(
    @Inject(Keys) private readonly keys: Keys,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    if (headers['x-key'] === undefined) throw new UnauthorizedException('a key, please');
    const role = this.reflector.getAllAndOverride<string>('role', [context.getHandler(), context.getClass()]);
    return headers['x-key'] === this.keys.valid && (role === undefined || headers['x-role'] === role);
  }
}

interface Setup {
  readonly logger?: LogCollector;
  readonly providers?: NonNullable<Parameters<typeof Module>[0]['providers']>;
  readonly prepare?: (app: INestApplication) => void;
}

async function start(
  platform: Platform,
  registry: InMemoryRegistry,
  gateway: ServiceGatewayOptions,
  setup: Setup = {},
): Promise<number> {
  const backend = registry.backend();
  // That an outage of the registry is none of the configuration.
  const config = gateway.locator === undefined ? backend : new InMemoryRegistry().backend({ name: 'config' });
  @Module({
    controllers: [OwnController],
    providers: [Keys, KeyGuard, ...(setup.providers ?? [])],
    imports: [ServiceGatewayModule.forRoot(gateway), DiscoveryModule.forRoot({ registry: backend, config })],
  })
  class AppModule {}
  const nest = { logger: setup.logger ?? (false as const), abortOnError: false };
  const app =
    platform === 'fastify'
      ? await NestFactory.create(AppModule as Type, new FastifyAdapter(), nest)
      : await NestFactory.create(AppModule as Type, nest);
  apps.push(app);
  setup.prepare?.(app);
  await app.listen(0, '127.0.0.1');
  return portOf(app);
}

/** A registry with one instance for each of these names. */
async function registryOf(...names: string[]): Promise<{ registry: InMemoryRegistry; services: Upstream[] }> {
  const registry = new InMemoryRegistry();
  const services = await Promise.all(names.map(() => upstream()));
  names.forEach((name, at) => registry.addInstance(name, { port: services[at]?.port ?? 0 }));
  return { registry, services };
}

describe.each(['express', 'fastify'] as const)('the gateway module, on %s', (platform) => {
  test('routes by path, host, method, header and query; the first that matches counts', async () => {
    const { registry, services } = await registryOf('A', 'B', 'C', 'D', 'E', 'F');
    const port = await start(platform, registry, {
      routes: [
        { path: '/api/**', service: 'A', when: { hosts: ['*.shop.example'] } },
        { path: '/api/**', service: 'B', when: { methods: ['post'] } },
        { path: '/api/**', service: 'C', when: { headers: { 'x-canary': 'yes' } } },
        { path: '/api/**', service: 'D', when: { query: { version: '2', full: true } } },
        { path: ['/api/one', '/api/items/:id'], service: 'E' },
        { path: '/api/*rest', service: 'F' },
      ],
    });
    await ask(port, '/api/x', { headers: { host: 'eu.shop.example:80' } });
    await ask(port, '/api/x', { headers: { host: 'shop.example' } });
    await ask(port, '/api/x', { method: 'POST', body: 'b' });
    await ask(port, '/api/x', { headers: { 'x-canary': 'yes' } });
    await ask(port, '/api/x?full=&version=2');
    await ask(port, '/api/items/7');
    await ask(port, '/api');
    expect(services.map(({ seen }) => seen.map(({ url }) => url))).toEqual([
      ['/api/x'],
      ['/api/x'],
      ['/api/x'],
      ['/api/x?full=&version=2'],
      ['/api/items/7'],
      ['/api/x', '/api'],
    ]);
  });

  test('strips and rewrites, and keeps the encoding of what it keeps', async () => {
    const { registry, services } = await registryOf('A', 'B');
    const port = await start(platform, registry, {
      routes: [
        { path: '/a/b/**', service: 'A', stripPrefix: 2 },
        { path: '/items/:id/*rest', service: 'B', rewrite: '/v2/:id/of/*rest' },
      ],
    });
    await ask(port, '/a/b/c%20d/?q=%20');
    await ask(port, '/a/b');
    await ask(port, '/items/7%3F/x/y?z=1');
    expect(services[0]?.seen.map(({ url }) => url)).toEqual(['/c%20d/?q=%20', '/']);
    expect(services[0]?.seen[0]?.headers['x-forwarded-prefix']).toBe('/a/b');
    expect(services[1]?.seen.map(({ url }) => url)).toEqual(['/v2/7%3F/of/x/y?z=1']);
  });

  test('the app’s own routes and its body parsers are as before', async () => {
    const { registry } = await registryOf('A');
    const port = await start(platform, registry, { routes: [{ path: '/a/**', service: 'A' }] });
    expect((await ask(port, '/own')).text()).toBe('own');
    const posted = await ask(port, '/own', {
      method: 'POST',
      body: '{"a":1}',
      headers: { 'content-type': 'application/json' },
    });
    expect(posted.json()).toEqual({ got: { a: 1 } });
    expect((await ask(port, '/nothing')).status).toBe(404);
  });

  test('bodies of any type go by unread, though the app has parsers', async () => {
    const { registry, services } = await registryOf('A');
    const port = await start(platform, registry, { routes: [{ path: '/a/**', service: 'A' }] });
    for (const type of [
      'application/json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'a/b',
    ]) {
      const body = `{ "not even": json, ${type}`;
      const answer = await ask(port, '/a/x', { method: 'POST', body, headers: { 'content-type': type } });
      expect(answer.status).toBe(200);
      expect(services[0]?.seen.at(-1)?.body.toString()).toBe(body);
    }
    const large = JSON.stringify({ text: 'x'.repeat(2 * 1024 * 1024) });
    await ask(port, '/a/x', { method: 'POST', body: large, headers: { 'content-type': 'application/json' } });
    expect(services[0]?.seen.at(-1)?.body.length).toBe(large.length);
  });

  test('guards: the route’s own with what they inject and the metadata they go by, and global ones', async () => {
    const { registry, services } = await registryOf('A');
    const port = await start(platform, registry, {
      routes: [
        { path: '/admin/**', service: 'A', guards: [KeyGuard], metadata: { role: 'admin' } },
        { path: '/keyed/**', service: 'A', guards: ['key'] },
        { path: '/open/**', service: 'A' },
      ],
      namedGuards: { key: KeyGuard },
    });
    const none = await ask(port, '/keyed/x');
    expect(none.status).toBe(401);
    expect(none.json()).toEqual({ message: 'a key, please', error: 'Unauthorized', statusCode: 401 });
    const wrong = await ask(port, '/keyed/x', { headers: { 'x-key': 'wrong' } });
    expect(wrong.json()).toEqual({ message: 'Forbidden resource', error: 'Forbidden', statusCode: 403 });
    const headers = { 'x-key': 'open sesame' };
    expect((await ask(port, '/keyed/x', { headers })).status).toBe(200);
    expect((await ask(port, '/admin/x', { headers })).status).toBe(403);
    expect((await ask(port, '/admin/x', { headers: { ...headers, 'x-role': 'admin' } })).status).toBe(200);
    expect((await ask(port, '/open/x')).status).toBe(200);
    expect(services[0]?.seen).toHaveLength(3);
    const guarded = await start(
      platform,
      registry,
      { routes: [{ path: '/a/**', service: 'A' }] },
      {
        providers: [{ provide: APP_GUARD, useClass: KeyGuard }],
      },
    );
    expect((await ask(guarded, '/a/x')).status).toBe(401);
    expect((await ask(guarded, '/a/x', { headers })).status).toBe(200);
    const withoutGlobal = await start(
      platform,
      registry,
      { routes: [{ path: '/a/**', service: 'A' }], globalGuards: false },
      { providers: [{ provide: APP_GUARD, useClass: KeyGuard }] },
    );
    expect((await ask(withoutGlobal, '/a/x')).status).toBe(200);
  });

  test('a guarded upload that waits for its guard arrives whole', async () => {
    const { registry, services } = await registryOf('A');
    const slow: CanActivate = { canActivate: () => new Promise((resolve) => setTimeout(() => resolve(true), 50)) };
    const port = await start(platform, registry, { routes: [{ path: '/a/**', service: 'A', guards: [slow] }] });
    const body = Buffer.alloc(512 * 1024, 'x');
    expect((await ask(port, '/a/x', { method: 'POST', body })).status).toBe(200);
    expect(services[0]?.seen[0]?.body.equals(body)).toBe(true);
  });

  test('the access log has the route, the status and no query', async () => {
    const { registry, services } = await registryOf('A');
    const log: GatewayAccess[] = [];
    const port = await start(platform, registry, {
      routes: [{ id: 'a', path: '/a/**', service: 'A', maxRequestBytes: 1 }],
      onAccess: (access) => void log.push(access),
    });
    await ask(port, '/a/x?token=secret');
    await ask(port, '/a/x', { method: 'POST', body: '12' });
    await expect.poll(() => log.length).toBe(2);
    expect(log[0]).toMatchObject({
      route: 'a',
      method: 'GET',
      path: '/a/x',
      service: 'A',
      status: 200,
      attempts: 1,
      client: '127.0.0.1',
      instance: `http://127.0.0.1:${services[0]?.port}`,
    });
    expect(JSON.stringify(log)).not.toContain('secret');
    expect(log[1]).toMatchObject({ status: 413, code: 'REQUEST_TOO_LARGE', attempts: 0 });
  });

  describe('the locator', () => {
    test('makes routes for what is included, and nothing else; new services come by themselves', async () => {
      const { registry, services } = await registryOf('ORDERS', 'stock-eu', 'SECRET');
      const port = await start(platform, registry, {
        locator: { include: ['ORDERS', 'stock-*', 'LATER'], exclude: ['stock-us'] },
        routes: [{ path: '/orders/special', service: 'stock-eu' }],
      });
      await expect.poll(async () => (await ask(port, '/orders/x?y=1')).status).toBe(200);
      expect(services[0]?.seen.at(-1)).toMatchObject({ url: '/x?y=1', headers: { 'x-forwarded-prefix': '/orders' } });
      expect((await ask(port, '/stock-eu')).status).toBe(200);
      expect(services[1]?.seen.at(-1)?.url).toBe('/');
      await ask(port, '/orders/special');
      expect(services[1]?.seen.at(-1)?.url).toBe('/orders/special');
      for (const path of ['/secret/x', '/SECRET/x', '/ORDERS/x', '/later/x']) {
        expect((await ask(port, path)).status).toBe(404);
      }
      const late = await upstream();
      registry.addInstance('LATER', { port: late.port });
      registry.addInstance('stock-us', { port: late.port });
      await expect.poll(async () => (await ask(port, '/later/x')).status).toBe(200);
      expect((await ask(port, '/stock-us/x')).status).toBe(404);
    });

    test('a service that is gone is a 503 for a while, and back when it is back', async () => {
      const { registry, services } = await registryOf('ORDERS');
      const port = await start(platform, registry, { locator: { include: ['*'] } });
      await expect.poll(async () => (await ask(port, '/orders/x')).status).toBe(200);
      registry.removeInstance('ORDERS', registry.instancesOf('ORDERS')[0]?.id ?? '');
      await expect.poll(async () => (await ask(port, '/orders/x')).status).toBe(503);
      registry.addInstance('ORDERS', { port: services[0]?.port ?? 0 });
      await expect.poll(async () => (await ask(port, '/orders/x')).status).toBe(200);
    });

    test('by metadata, as it changes; handling is composed with the prefix that is taken off', async () => {
      const { registry, services } = await registryOf('OPEN', 'CLOSED');
      const id = registry.instancesOf('CLOSED')[0]?.id ?? '';
      registry.updateInstance('OPEN', registry.instancesOf('OPEN')[0]?.id ?? '', { metadata: { public: 'true' } });
      const port = await start(platform, registry, {
        locator: { includeMetadata: { public: 'true' }, prefix: '/services', headers: { 'x-gateway': 'yes' } },
      });
      await expect.poll(async () => (await ask(port, '/services/open/x')).status).toBe(200);
      expect(services[0]?.seen.at(-1)).toMatchObject({ url: '/x', headers: { 'x-gateway': 'yes' } });
      expect((await ask(port, '/services/closed/x')).status).toBe(404);
      registry.updateInstance('CLOSED', id, { metadata: { public: 'true' } });
      await expect.poll(async () => (await ask(port, '/services/closed/x')).status).toBe(200);
      registry.updateInstance('CLOSED', id, { metadata: {} });
      await expect.poll(async () => (await ask(port, '/services/closed/x')).status).toBe(404);
    });

    test('names can’t take the place of the app’s own paths, nor be paths of another kind', async () => {
      const logger = new LogCollector();
      const { registry } = await registryOf('OWN', 'good', 'Good', '*', 'a{b}');
      const port = await start(platform, registry, { locator: { include: () => true } }, { logger });
      await expect.poll(async () => (await ask(port, '/good/x')).status).toBe(200);
      expect((await ask(port, '/own')).text()).toBe('own');
      expect((await ask(port, '/anything/x')).status).toBe(404);
      expect(logger.lines.filter((line) => line.includes('makes no route'))).toHaveLength(4);
    });

    test('before any registry has told: 503 where a service could be', async () => {
      const { registry } = await registryOf('ORDERS');
      registry.fail();
      const port = await start(platform, registry, { locator: { include: ['ORDERS'] } });
      expect(await ask(port, '/orders/x')).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
      expect((await ask(port, '/other/x')).status).toBe(404);
      registry.recover();
      await expect.poll(async () => (await ask(port, '/orders/x')).status).toBe(200);
      registry.fail();
      expect((await ask(port, '/orders/x')).status).toBe(200);
    });
  });

  test('routes of a live document come into force at once; what doesn’t fit changes nothing', async () => {
    const logger = new LogCollector();
    const { registry, services } = await registryOf('A', 'B');
    registry.setDocument('application.yaml', 'gateway: { routes: [{ path: /x/**, service: A }] }');
    const port = await start(
      platform,
      registry,
      { routesFrom: 'gateway.routes', namedGuards: { key: KeyGuard } },
      { logger },
    );
    expect((await ask(port, '/x/1')).status).toBe(200);
    expect(services[0]?.seen).toHaveLength(1);
    registry.setDocument(
      'application.yaml',
      'gateway: { routes: { moved: { path: /x/**, service: B, stripPrefix: 1, headers: { x-old: [], x-new: "1" } }, keyed: { path: /k/**, service: A, guards: [key] } } }',
    );
    await expect.poll(async () => (await ask(port, '/k/1')).status).toBe(401);
    await ask(port, '/x/1', { headers: { 'x-old': '1' } });
    expect(services[1]?.seen[0]).toMatchObject({ url: '/1', headers: { 'x-new': '1' } });
    expect(services[1]?.seen[0]?.headers).not.toHaveProperty('x-old');
    for (const bad of [
      '[{ path: x, service: A }]',
      '[{ path: /x, service: A, guards: [none] }]',
      '[{ path: /x }]',
      '7',
    ]) {
      const before = logger.lines.filter((line) => line.includes('stay as they were')).length;
      registry.setDocument('application.yaml', `gateway: { routes: ${bad} }`);
      await expect
        .poll(() => logger.lines.filter((line) => line.includes('stay as they were')).length)
        .toBe(before + 1);
      expect((await ask(port, '/x/1')).status).toBe(200);
    }
    registry.setDocument('application.yaml', 'other: 1');
    await expect.poll(async () => (await ask(port, '/x/1')).status).toBe(404);
  });

  describe('WebSockets', () => {
    // RFC 6455's own example.
    const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
    const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
    const handshake = (path: string, more = ''): string =>
      `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
      `sec-websocket-key: ${KEY}\r\n${more}\r\n`;

    /** Agrees to every upgrade and gives back what it gets. */
    async function echo(): Promise<Upstream & { requests: IncomingMessage[]; sockets: Duplex[] }> {
      const service = await upstream();
      const requests: IncomingMessage[] = [];
      const sockets: Duplex[] = [];
      service.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
        requests.push(request);
        sockets.push(socket);
        socket.on('error', () => {});
        afterTest(() => socket.destroy());
        socket.write(switching(request));
        socket.pipe(socket);
      });
      return { ...service, requests, sockets };
    }

    test('go both ways, fail over, and end on both sides', async () => {
      const service = await echo();
      const gone = { port: await freePortWith([]) };
      const registry = new InMemoryRegistry();
      registry.addInstance('CHAT', { port: gone.port });
      registry.addInstance('CHAT', { port: service.port });
      const port = await start(platform, registry, { routes: [{ path: '/chat/**', service: 'CHAT', stripPrefix: 1 }] });
      for (let round = 0; round < 2; round += 1) {
        const socket = open(port);
        let text = '';
        socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
        socket.write(handshake('/chat/room?x=1', 'sec-websocket-protocol: soap\r\n'));
        await expect.poll(() => text).toContain(`sec-websocket-accept: ${ACCEPT}`);
        expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
        socket.write('hello');
        await expect.poll(() => text).toMatch(/hello$/);
        socket.destroy();
        await expect.poll(() => service.sockets[round]?.destroyed).toBe(true);
      }
      expect(service.requests[0]).toMatchObject({
        url: '/room?x=1',
        headers: {
          'sec-websocket-protocol': 'soap',
          'x-forwarded-for': '127.0.0.1',
          host: `127.0.0.1:${service.port}`,
        },
      });
      const other = open(port);
      other.resume();
      other.write(handshake('/chat/room'));
      await expect.poll(() => service.sockets.length).toBe(3);
      service.sockets[2]?.destroy();
      await once(other, 'close');
    });

    test('an instance that breaks them off is left out', async () => {
      const breaking = await upstream();
      let broken = 0;
      breaking.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
        broken += 1;
        socket.end(switching(request));
      });
      const service = await echo();
      const registry = new InMemoryRegistry();
      registry.addInstance('CHAT', { port: breaking.port });
      registry.addInstance('CHAT', { port: service.port });
      const port = await start(platform, registry, { routes: [{ path: '/chat/**', service: 'CHAT' }] });
      for (let i = 1; i <= 40; i += 1) {
        const socket = open(port);
        const isOver = once(socket, 'close');
        socket.write(handshake('/chat/x'));
        socket.on('data', () => {});
        await expect.poll(() => broken + service.sockets.length).toBe(i);
        // Who is well keeps it until the caller has had enough.
        if (service.sockets.at(-1)?.destroyed === false) socket.destroy();
        await isOver;
        await expect.poll(() => service.sockets.every(({ destroyed }) => destroyed)).toBe(true);
      }
      expect(broken).toBeGreaterThan(0);
      // About every second one without it.
      expect(broken).toBeLessThan(10);
    });

    test('a refusal comes as it is; guards are asked; who isn’t for it is refused', async () => {
      const service = await upstream();
      service.server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
        socket.end('HTTP/1.1 401 Unauthorized\r\nx-why: no\r\ncontent-length: 4\r\n\r\nnope');
      });
      const registry = new InMemoryRegistry();
      registry.addInstance('CHAT', { port: service.port });
      const port = await start(platform, registry, {
        routes: [
          { path: '/chat/**', service: 'CHAT' },
          { path: '/keyed/**', service: 'CHAT', guards: [KeyGuard] },
          { path: '/no/**', service: 'CHAT', webSockets: false },
          { path: '/empty/**', service: 'EMPTY' },
        ],
      });
      const refused = await raw(port, handshake('/chat/x'));
      expect(refused).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
      expect(refused).toMatch(/x-why: no\r\n/);
      expect(refused).toMatch(/nope$/);
      expect(await raw(port, handshake('/keyed/x'))).toMatch(/^HTTP\/1\.1 401 Unauthorized[^]*a key, please/);
      expect(await raw(port, handshake('/no/x'))).toMatch(/^HTTP\/1\.1 404 Not Found/);
      expect(await raw(port, handshake('/nothing'))).toMatch(/^HTTP\/1\.1 404 Not Found/);
      expect(await raw(port, handshake('/empty/x'))).toMatch(/^HTTP\/1\.1 503 Service Unavailable[^]*NO_INSTANCE/);
    });

    test('a guard that agrees late loses nothing that was sent meanwhile', async () => {
      const service = await echo();
      const registry = new InMemoryRegistry();
      registry.addInstance('CHAT', { port: service.port });
      const slow: CanActivate = { canActivate: () => new Promise((resolve) => setTimeout(() => resolve(true), 50)) };
      const port = await start(platform, registry, { routes: [{ path: '/chat/**', service: 'CHAT', guards: [slow] }] });
      const text = await raw(port, `${handshake('/chat/x')}early`, (so) => so.endsWith('early'));
      expect(text).toContain('101 Switching Protocols');
    });

    test('the stop of the app ends them, on both sides', async () => {
      const service = await echo();
      const registry = new InMemoryRegistry();
      registry.addInstance('CHAT', { port: service.port });
      const port = await start(platform, registry, { routes: [{ path: '/chat/**', service: 'CHAT' }] });
      const socket = open(port);
      socket.write(handshake('/chat/x'));
      await once(socket, 'data');
      const closed = once(socket, 'close');
      await apps.splice(0)[0]?.close();
      await closed;
      await expect.poll(() => service.sockets[0]?.destroyed).toBe(true);
    });
  });
});

test('wrong routes are refused when the module is made, by their field', () => {
  const refused = (options: object): unknown => {
    try {
      ServiceGatewayModule.forRoot(options);
    } catch (error) {
      return (error as { field?: string }).field;
    }
    return 'taken';
  };
  expect(refused({ routes: [{ path: '/a/**', service: 'A' }] })).toBe('taken');
  expect(refused({ routes: [{ path: '/a/**' }] })).toBe('routes[0].service');
  expect(refused({ routes: [{ path: 'a', service: 'A' }] })).toBe('routes[0].path');
  expect(refused({ routes: [{ path: '/a/../b', service: 'A' }] })).toBe('routes[0].path');
  expect(refused({ routes: [{ path: '/**/b', service: 'A' }] })).toBe('routes[0].path');
  expect(refused({ routes: [{ path: '/a/:id', service: 'A', rewrite: '/b/:other' }] })).toBe('routes[0].rewrite');
  expect(refused({ routes: [{ path: '/a', service: 'A', rewrite: '/b', stripPrefix: 1 }] })).toBe(
    'routes[0].stripPrefix',
  );
  expect(refused({ routes: [{ path: '/a', service: '../A' }] })).toBe('routes[0].service');
  expect(refused({ routes: [{ path: '/a', service: 'A', headers: { 'x y': '1' } }] })).toBe('routes[0].headers.x y');
  expect(refused({ routes: [{ path: '/a', service: 'A', retries: 3 }] })).toBe('routes[0].retries');
  expect(refused({ locator: { include: 'ORDERS' } })).toBe('locator.include');
  expect(refused({ trustedProxies: ['10.0.0.0/33'] })).toBe('trustedProxies[0]');
});
