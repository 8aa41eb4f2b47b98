import { Module, type INestApplication } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { describe, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createOn, portOf, type Platform } from '../support.js';
import { ask, upstream } from './support.js';

const SHOP = 'https://shop.example';
const STRANGER = 'https://stranger.example';

/** A gateway before a service that sends these headers. */
async function gateway(
  platform: Platform,
  headers: Readonly<Record<string, string | string[]>>,
  prepare: (app: INestApplication) => void = () => {},
): Promise<number> {
  const service = await upstream((_request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    response.end('ok');
  });
  const registry = new InMemoryRegistry();
  registry.addInstance('A', { port: service.port });
  const backend = registry.backend();
  @Module({
    imports: [
      ServiceGatewayModule.forRoot({ routes: [{ path: '/a/**', service: 'A' }] }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule);
  prepare(app);
  await app.listen(0, '127.0.0.1');
  return portOf(app);
}

/** As helmet does on Express, and @fastify/helmet on Fastify. */
function setHeaders(app: INestApplication, headers: Readonly<Record<string, string>>): void {
  const adapter = app.getHttpAdapter();
  if (adapter instanceof FastifyAdapter) {
    type Hook = (request: unknown, reply: { headers(values: object): unknown }, done: () => void) => void;
    adapter
      .getInstance<{ addHook(name: 'onRequest', hook: Hook): unknown }>()
      .addHook('onRequest', (_, reply, done) => {
        reply.headers(headers);
        done();
      });
    return;
  }
  app.use((_request: unknown, response: { setHeader(name: string, value: string): void }, next: () => void) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    next();
  });
}

describe.each(['express', 'fastify'] as const)('headers that the app has set, on %s', (platform) => {
  test('CORS of the app holds, its headers don’t stand twice, and it answers what browsers ask before', async () => {
    const port = await gateway(platform, { 'access-control-allow-origin': '*', vary: 'Accept' }, (app) =>
      app.enableCors({ origin: [SHOP], methods: ['GET', 'PUT'] }),
    );
    const { rawHeaders, headers } = await ask(port, '/a/x', { headers: { origin: SHOP } });
    expect(headers['access-control-allow-origin']).toBe(SHOP);
    expect(rawHeaders.filter((text) => text.toLowerCase() === 'access-control-allow-origin')).toHaveLength(1);
    expect(headers.vary).toBe('Origin, Accept');
    const preflight = await ask(port, '/a/x', {
      method: 'OPTIONS',
      headers: { origin: SHOP, 'access-control-request-method': 'PUT' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers['access-control-allow-methods']).toContain('PUT');
  });

  test.each([[[SHOP]], [/shop/], [true], ['*'], [SHOP]])(
    'with CORS of the app, origin %s, the service allows nobody anything',
    async (origin) => {
      const generous = {
        'access-control-allow-origin': STRANGER,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'x-secret',
        vary: 'Origin',
      };
      const port = await gateway(platform, generous, (app) => app.enableCors({ origin }));
      const { headers } = await ask(port, '/a/x', { headers: { origin: STRANGER } });
      const allowed = { true: STRANGER, '*': '*', [SHOP]: SHOP }[Array.isArray(origin) ? '' : String(origin)];
      expect(headers['access-control-allow-origin']).toBe(allowed);
      expect(headers).not.toHaveProperty('access-control-allow-credentials');
      expect(headers).not.toHaveProperty('access-control-expose-headers');
    },
  );

  test('without CORS of the app that of the service is passed on as it is', async () => {
    const own = { 'access-control-allow-origin': STRANGER, 'access-control-allow-credentials': 'true', vary: 'Origin' };
    const port = await gateway(platform, own, (app) => setHeaders(app, { 'x-app': '1', vary: 'Accept-Language' }));
    const { headers } = await ask(port, '/a/x', { headers: { origin: STRANGER } });
    expect(headers).toMatchObject({ ...own, vary: 'Accept-Language, Origin', 'x-app': '1' });
  });

  test('security headers count before the service’s, and stand once', async () => {
    const theirs = {
      'content-security-policy': "default-src 'none'",
      'x-frame-options': 'DENY',
      'set-cookie': ['a=1', 'b=2'],
    };
    const port = await gateway(platform, theirs, (app) =>
      setHeaders(app, { 'content-security-policy': "default-src 'self'", 'set-cookie': 'app=1' }),
    );
    const { headers, rawHeaders } = await ask(port, '/a/x');
    expect(headers).toMatchObject({
      'content-security-policy': "default-src 'self'",
      'x-frame-options': 'DENY',
      'set-cookie': ['app=1', 'a=1', 'b=2'],
    });
    expect(rawHeaders.filter((text) => text.toLowerCase() === 'content-security-policy')).toHaveLength(1);
  });

  test('middleware of app.use comes before the gateway', async () => {
    const urls: (string | undefined)[] = [];
    const port = await gateway(platform, { 'x-by': 'service' }, (app) =>
      app.use(
        (request: { url?: string }, response: { setHeader(name: string, value: string): void }, next: () => void) => {
          urls.push(request.url);
          response.setHeader('x-by', 'app');
          next();
        },
      ),
    );
    expect((await ask(port, '/a/x')).headers['x-by']).toBe('app');
    expect(urls).toEqual(['/a/x']);
  });
});
