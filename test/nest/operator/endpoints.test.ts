import {
  Injectable,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  VersioningType,
} from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { AppRegistration, ServiceHttpClient } from '../../../lib/index.js';
import { basicAuth, DiscoveryOperatorModule } from '../../../lib/integrations/operator/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createOn, registered, type Platform } from '../support.js';
import { ask, operated, post, read, startOperated, statusOf, stockServer } from './support.js';

afterEach(() => vi.unstubAllEnvs());

/** Wraps every answer of the app, as many apps do. */
class Wrapping implements NestInterceptor {
  intercept(_: ExecutionContext, next: { handle(): Observable<unknown> }): Observable<unknown> {
    return next.handle().pipe(map((data) => ({ data })));
  }
}

@Injectable()
class ThrowingGuard implements CanActivate {
  canActivate(): boolean {
    throw new Error('the key of the vault is 1234');
  }
}

@Injectable()
class ClosedGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

describe.each<Platform>(['express', 'fastify'])('the endpoints on %s', (platform) => {
  test('show the app, its registration, backends and counts', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated(platform, registry);
    await registered(app);
    const overview = await read(app, '/discovery/overview');
    expect(overview).toMatchObject({
      app: { name: 'SHOP', pid: process.pid },
      readiness: { ready: true, reasons: [], live: true },
      registration: {
        registers: true,
        paused: null,
        stopping: false,
        service: 'SHOP',
        status: 'UP',
        metadata: { version: '1', 'user.password': '******' },
        registries: [{ backend: 'in-memory', phase: 'registered' }],
      },
      backends: [
        { name: 'in-memory', phase: 'ready' },
        { name: 'config', phase: 'ready' },
      ],
      events: { counts: { 'registration.registered': 1 } },
    });
    expect(await read(app, '/discovery/backends')).toEqual(overview['backends']);
    expect(await read(app, '/discovery/counts')).toMatchObject({ 'registration.registered': 1 });
    expect(JSON.stringify(overview)).not.toContain('geheim');
  });

  test('show services and instances: calls, failures, who is left out, and secrets masked', async () => {
    const registry = new InMemoryRegistry();
    const [good, bad] = [await stockServer(), await stockServer()];
    bad.status = 503;
    registry.addInstance('STOCK', { id: 'good', port: good.port, metadata: { 'api-key': 'geheim', lane: 'alice' } });
    registry.addInstance('STOCK', { id: 'bad', port: bad.port, tags: ['x'], zone: 'z1' });
    registry.addInstance('STOCK', { id: 'down', port: 1, status: 'DOWN' });
    registry.addInstance('OTHER', { port: 2 });
    const app = await startOperated(platform, registry, {}, { http: { routing: { lane: { isolate: false } } } });
    const client = app.get(ServiceHttpClient);
    for (let call = 0; call < 12; call += 1) await client.axiosRef.get('lb://STOCK/quote');
    const stock = await read(app, '/discovery/services/STOCK');
    expect(stock).toMatchObject({ service: 'STOCK', state: 'fresh', routable: 1, ejected: 1, down: 1, total: 3 });
    const byId = Object.fromEntries((stock['instances'] as { id: string }[]).map((one) => [one.id, one]));
    expect(byId).toMatchObject({
      good: { state: 'routable', failures: 0, lane: 'alice', metadata: { 'api-key': '******' }, health: 1 },
      bad: { state: 'ejected', failures: 5, calls: 5, zone: 'z1', tags: ['x'], pending: 0 },
      down: { state: 'down', status: 'DOWN', calls: 0 },
    });
    expect(stock['calls']).toBe(17);
    expect(byId['bad']).toMatchObject({
      ejectedForMs: expect.any(Number) as number,
      ejectedFor: expect.any(String) as string,
    });
    // Only what is watched, unless it is asked for.
    expect((await read(app, '/discovery/services'))['services']).toMatchObject([{ service: 'STOCK', watched: true }]);
    expect(await read(app, '/discovery/services?known=true')).toMatchObject({
      total: 3,
      services: [{ service: 'STOCK' }, { service: 'OTHER', watched: false }, { service: 'SHOP', watched: false }],
    });
    expect(await read(app, '/discovery/services?known=true&search=oth')).toMatchObject({ total: 1 });
    expect((await read(app, '/discovery/services/OTHER'))['instances']).toHaveLength(1);
    const { events } = await read(app, '/discovery/events');
    expect((events as { type: string }[]).map(({ type }) => type)).toContain('instance.ejected');
    expect((await ask(app, '/discovery/services/..%2f')).status).toBe(400);
  });

  test('pause and resume the app, and say why', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated(platform, registry);
    await registered(app);
    const paused = await post(app, '/discovery/registration/pause', { reason: 'disk is full\u001b[31m' });
    expect(paused.status).toBe(200);
    expect(await paused.json()).toMatchObject({ paused: 'disk is full\\u001b[31m', status: 'OUT_OF_SERVICE' });
    expect(registry.instancesOf('SHOP')).toMatchObject([{ status: 'OUT_OF_SERVICE' }]);
    expect((await read(app, '/discovery/overview'))['readiness']).toMatchObject({ ready: false });
    expect((await post(app, '/discovery/registration/resume')).status).toBe(200);
    expect(registry.instancesOf('SHOP')).toMatchObject([{ status: 'UP' }]);
    expect(app.get(AppRegistration).isReady).toBe(true);
  });

  test('pause the app while a registry is silent too, and say that it was not told', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated(platform, registry);
    await registered(app);
    registry.pause();
    const silent = await post(app, '/discovery/registration/pause', { reason: 'x' });
    expect([silent.status, await silent.json()]).toEqual([504, expect.objectContaining({ code: 'TIMEOUT' })]);
    expect(await read(app, '/discovery/registration')).toMatchObject({ paused: 'x' });
    expect(app.get(AppRegistration).isReady).toBe(false);
    registry.resume();
    await expect.poll(() => registry.instancesOf('SHOP')).toMatchObject([{ status: 'OUT_OF_SERVICE' }]);
  });

  test('show a service in a folder', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('shop/STOCK', { id: 'one', port: 1 });
    const app = await startOperated(platform, registry);
    const shown = await read(app, `/discovery/services/${encodeURIComponent('shop/STOCK')}`);
    expect(shown).toMatchObject({ service: 'shop/STOCK', total: 1 });
  });

  test('refuse what is not meant: without a reason, as a form, from another site, when it is read-only', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated(platform, registry);
    const pause = '/discovery/registration/pause';
    expect((await post(app, pause)).status).toBe(400);
    expect((await post(app, pause, [1])).status).toBe(400);
    expect((await post(app, pause, { reason: 'x' }, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await post(app, pause, { reason: 'x' }, { origin: 'http://evil.example' })).status).toBe(403);
    const form = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'content-type': 'application/json' };
    expect(await statusOf(app, pause, form, '{"reason":"x"}')).toBe(403);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const sent = await ask(app, pause, { method: 'POST', body: 'reason=x', headers: { 'content-type': type } });
      expect(sent.status).toBe(415);
    }
    expect((await ask(app, '/discovery/services?limit=-1')).status).toBe(400);
    expect(app.get(AppRegistration).pausedFor).toBeUndefined();
    const readOnly = await startOperated(platform, registry, { readOnly: true });
    expect((await post(readOnly, pause, { reason: 'x' })).status).toBe(403);
    expect((await read(readOnly, '/discovery/overview'))['readOnly']).toBe(true);
  });

  test('are read by no script of another site, whatever origins the app allows', async () => {
    const app = await createOn(platform, operated(new InMemoryRegistry()));
    app.enableCors({ origin: true, credentials: true });
    await app.listen(0, '127.0.0.1');
    const origin = 'http://evil.example';
    const elsewhere = { origin, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' };
    for (const path of ['/overview', '/configuration', '/events', '/page.js']) {
      expect((await ask(app, `/discovery${path}`, { headers: elsewhere })).status).toBe(403);
      const old = await ask(app, `/discovery${path}`, { headers: { origin } });
      expect([old.status, old.headers.get('access-control-allow-origin')]).toEqual([200, null]);
    }
    // A link in a chat or a wiki.
    const followed = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect(await statusOf(app, '/discovery/page', followed)).toBe(200);
    const own = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' };
    expect((await ask(app, '/discovery/overview', { headers: own })).status).toBe(200);
  });

  test('show the configuration, where it comes from and what was refused, and no secret of it', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument(
      'application.yaml',
      'db: { url: "jdbc:x://u:geheim@h/?password=geheim&a=1", password: geheim }',
    );
    registry.setDocument('SHOP.yaml', 'limit: 5\ndb: { url: "pg://me:geheim@own" }');
    const app = await startOperated(platform, registry);
    const shown = await read(app, '/discovery/configuration?search=db');
    expect(shown).toMatchObject({
      total: 2,
      keys: [
        { key: 'db.password', value: '******', secret: true, origin: { name: 'application.yaml', backend: 'config' } },
        {
          key: 'db.url',
          value: 'pg://******@own',
          overrides: [{ value: 'jdbc:x://******@h/?password=******&a=1', origin: { name: 'application.yaml' } }],
        },
      ],
      problems: [],
    });
    expect(JSON.stringify(shown)).not.toContain('geheim');
    registry.setDocument('SHOP.yaml', 'limit: [');
    await expect.poll(async () => (await read(app, '/discovery/configuration?key=limit'))['value']).toBe(5);
    await expect
      .poll(async () => (await read(app, '/discovery/configuration'))['problems'] as unknown[])
      .toHaveLength(1);
    registry.setDocument('SHOP.yaml', 'limit: 7');
    expect(await (await post(app, '/discovery/refresh')).json()).toEqual({ services: 'done', configuration: 'done' });
    await expect.poll(async () => (await read(app, '/discovery/configuration?key=limit'))['value']).toBe(7);
  });

  test('an outage: lists are stale, and refresh says what could not be asked', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    const app = await startOperated(platform, registry);
    await read(app, '/discovery/services/STOCK');
    registry.fail();
    await expect.poll(async () => (await read(app, '/discovery/services/STOCK'))['state']).toBe('stale');
    expect(await read(app, '/discovery/services/STOCK')).toMatchObject({
      error: { code: 'BACKEND_UNAVAILABLE' },
      total: 1,
    });
    const answer = (await (await post(app, '/discovery/refresh')).json()) as Record<string, string>;
    expect(answer['services']).toContain('told to fail');
    expect((await read(app, '/discovery/services?known=true'))['error']).toContain('told to fail');
    registry.recover();
  });

  test('lie below the prefix of the app, whatever versions it has and however it wraps its answers', async () => {
    const app = await createOn(platform, operated(new InMemoryRegistry(), { path: 'internal/sd' }));
    app.setGlobalPrefix('api');
    app.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' });
    app.useGlobalInterceptors(new Wrapping());
    await app.listen(0, '127.0.0.1');
    expect((await read(app, '/api/internal/sd/overview'))['app']).toMatchObject({ name: 'SHOP' });
    const root = await ask(app, '/api/internal/sd');
    expect([root.status, root.headers.get('location')]).toEqual([302, 'sd/page']);
    const page = await ask(app, '/api/internal/sd/page');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page.headers.get('cache-control')).toContain('no-store');
    const withoutPage = await startOperated(platform, new InMemoryRegistry(), { page: false });
    for (const path of ['', '/page', '/page.js', '/page.css']) {
      expect((await ask(withoutPage, `/discovery${path}`)).status).toBe(404);
    }
  });

  test('ask the guard of everything: one that throws, one that says no, a name and a password', async () => {
    const paths = ['', '/page', '/page.js', '/overview', '/services/STOCK', '/configuration', '/events'];
    const throwing = await startOperated(platform, new InMemoryRegistry(), { guard: ThrowingGuard });
    for (const path of paths) {
      const answer = await ask(throwing, `/discovery${path}`);
      expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining('1234') as string]);
    }
    const closed = await startOperated(platform, new InMemoryRegistry(), {
      guard: [basicAuth({ username: 'a', password: 'b' }), ClosedGuard],
    });
    const authorization = `Basic ${Buffer.from('a:b').toString('base64')}`;
    expect((await ask(closed, '/discovery/overview', { headers: { authorization } })).status).toBe(403);
    const guarded = await startOperated(platform, new InMemoryRegistry(), {
      guard: basicAuth({ username: 'a', password: 'b' }),
    });
    for (const path of paths) {
      const answer = await ask(guarded, `/discovery${path}`);
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
        401,
        expect.stringContaining('Basic') as string,
      ]);
    }
    for (const wrong of ['Basic', 'Basic !!', `Basic ${Buffer.from('a:c').toString('base64')}`, 'Bearer x']) {
      expect((await ask(guarded, '/discovery/overview', { headers: { authorization: wrong } })).status).toBe(401);
    }
    expect((await post(guarded, '/discovery/registration/pause', { reason: 'x' })).status).toBe(401);
    expect((await ask(guarded, '/discovery/overview', { headers: { authorization } })).status).toBe(200);
  });

  test('without a guard, answer this machine by its own name only', async () => {
    const app = await startOperated(platform, new InMemoryRegistry());
    expect((await ask(app, '/discovery/overview')).status).toBe(200);
    // What a page does whose name leads here, and a proxy on this machine.
    const status = (headers: Record<string, string>) => statusOf(app, '/discovery/overview', headers);
    expect(await status({ host: 'evil.example' })).toBe(403);
    expect(await status({ 'x-forwarded-for': '10.0.0.1' })).toBe(403);
    expect(await status({ host: 'localhost:1' })).toBe(200);
  });
});

test('options that are none are one error, which names the field', () => {
  const register = (options: object) => () => DiscoveryOperatorModule.register(options);
  for (const path of ['', '/', 'a b', 'a/*', ':x', '..', 'a/../b', 7]) {
    expect(register({ path })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field: 'path' }));
  }
  expect(register({ guard: 'x' })).toThrow(expect.objectContaining({ field: 'guard' }));
  expect(register({ guard: [{}] })).toThrow(
    expect.objectContaining({ field: expect.stringContaining('guard') as string }),
  );
  expect(register({ maxStreams: 0 })).toThrow(expect.objectContaining({ field: 'maxStreams' }));
  expect(register({ nonsense: 1 })).toThrow(expect.objectContaining({ field: 'nonsense' }));
  expect(() => basicAuth({ username: '', password: 'x' })).toThrow(expect.objectContaining({ field: 'username' }));
});

test('in production there is no app without a guard', () => {
  vi.stubEnv('NODE_ENV', 'production');
  const register = (options: object) => () => DiscoveryOperatorModule.register(options);
  expect(register({})).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field: 'guard' }));
  expect(register({ guard: [] })).toThrow(/guard is missing/);
  expect(register({ guard: ClosedGuard })).not.toThrow();
});
