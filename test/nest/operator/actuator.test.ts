import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, test } from 'vitest';
import { AppRegistration, HealthCheckOf, ServiceHttpClient } from '../../../lib/index.js';
import { basicAuth, DiscoveryOperatorModule } from '../../../lib/integrations/operator/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createOn, registered, type Platform } from '../support.js';
import { ask, operated, post, read, startOperated, stockServer } from './support.js';

let isWell = true;

afterEach(() => {
  isWell = true;
});

@Injectable()
class Database {
  @HealthCheckOf('database')
  check(): boolean {
    if (!isWell) throw new Error('postgres://me:geheim@db is gone');
    return true;
  }
}

describe.each<Platform>(['express', 'fastify'])("Spring Boot's endpoints on %s", (platform) => {
  test('are linked from one place, wherever that is', async () => {
    const app = await createOn(
      platform,
      operated(new InMemoryRegistry(), { actuator: { path: 'management/actuator' } }),
    );
    app.setGlobalPrefix('api');
    await app.listen(0, '127.0.0.1');
    const answer = await ask(app, '/api/management/actuator');
    expect(answer.headers.get('content-type')).toBe('application/vnd.spring-boot.actuator.v3+json');
    const { _links: links } = (await answer.json()) as { _links: Record<string, { href: string; templated: boolean }> };
    expect(Object.keys(links)).toEqual([
      ...['self', 'health', 'health-path', 'info', 'metrics', 'metrics-requiredMetricName', 'env', 'env-toMatch'],
      ...['serviceregistry', 'refresh'],
    ]);
    for (const { href, templated } of Object.values(links)) {
      if (templated || href.endsWith('refresh')) continue;
      expect((await fetch(href)).status).toBe(200);
    }
    await registered(app);
    expect(app.get(AppRegistration).lease?.registration.metadata).toMatchObject({
      'management.context-path': '/api/management/actuator',
      version: '1',
    });
  });

  test('tell the health: of the checks, of readiness and liveness; an outage of a registry is none', async () => {
    const registry = new InMemoryRegistry();
    const app = await createOn(
      platform,
      operated(registry, { actuator: true }, { service: { name: 'SHOP', health: { intervalMs: 20 } } }, [], [Database]),
    );
    await app.listen(0, '127.0.0.1');
    await registered(app);
    const health = async (path = '') => {
      const answer = await ask(app, `/actuator/health${path}`);
      return { code: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    await expect.poll(async () => (await health()).body['status']).toBe('UP');
    expect(await health()).toMatchObject({
      code: 200,
      body: {
        groups: ['liveness', 'readiness'],
        components: {
          discovery: { status: 'UP', details: { 'in-memory': 'ready' } },
          healthChecks: { status: 'UP' },
          livenessState: { status: 'UP' },
          readinessState: { status: 'UP' },
        },
      },
    });
    registry.fail();
    await expect.poll(async () => (await health('/discovery')).body['status']).toBe('UNKNOWN');
    expect(await health()).toMatchObject({ code: 200, body: { status: 'UP' } });
    registry.recover();
    isWell = false;
    await expect.poll(async () => (await health()).body['status']).toBe('DOWN');
    const down = await health('/readiness');
    expect(down).toMatchObject({ code: 503, body: { status: 'DOWN' } });
    expect(JSON.stringify(down.body)).toContain('database');
    expect(JSON.stringify(down.body)).not.toContain('geheim');
    expect(await health('/liveness')).toMatchObject({ code: 200, body: { status: 'UP' } });
    isWell = true;
    await expect.poll(async () => (await health()).body['status']).toBe('UP');
    expect((await post(app, '/actuator/serviceregistry', { status: 'OUT_OF_SERVICE' })).status).toBe(200);
    expect(await health()).toMatchObject({ code: 503, body: { status: 'OUT_OF_SERVICE' } });
    expect(await read(app, '/actuator/serviceregistry')).toEqual({
      status: 'OUT_OF_SERVICE',
      overriddenStatus: 'OUT_OF_SERVICE',
    });
    expect(registry.instancesOf('SHOP')).toMatchObject([{ status: 'OUT_OF_SERVICE' }]);
    expect((await post(app, '/actuator/serviceregistry', { status: 'UP' })).status).toBe(200);
    expect((await post(app, '/actuator/serviceregistry', { status: 'NONSENSE' })).status).toBe(400);
    expect((await health('/nonsense')).code).toBe(404);
    expect((await health('/__proto__')).code).toBe(404);
  });

  test('tell the environment masked, what is new of it, and who the app is', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'db: { url: "pg://me:geheim@h/x", password: geheim }\nlimit: 1');
    registry.setDocument('SHOP.yaml', 'limit: 2');
    const app = await startOperated(
      platform,
      registry,
      { actuator: { info: () => ({ git: { branch: 'main' } }) } },
      { profiles: ['prod'] },
    );
    const env = await read(app, '/actuator/env');
    expect(env).toEqual({
      activeProfiles: ['prod'],
      defaultProfiles: ['default'],
      propertySources: [
        {
          name: 'config:application.yaml',
          properties: {
            'db.password': { value: '******', origin: 'application.yaml:1' },
            'db.url': { value: 'pg://******@h/x', origin: 'application.yaml:1' },
            limit: { value: 1, origin: 'application.yaml:2' },
          },
        },
        { name: 'config:SHOP.yaml', properties: { limit: { value: 2, origin: 'SHOP.yaml:1' } } },
      ],
    });
    expect(await read(app, '/actuator/env/limit')).toMatchObject({
      property: { source: 'config:SHOP.yaml', value: 2 },
    });
    expect((await ask(app, '/actuator/env/none')).status).toBe(404);
    registry.setDocument('SHOP.yaml', 'limit: 3');
    // By a client of Spring's, which sends no body; it may have been heard of already.
    const changed = await ask(app, '/actuator/refresh', { method: 'POST' });
    expect([changed.status, await changed.json()]).toEqual([200, expect.any(Array)]);
    expect(await read(app, '/actuator/env/limit')).toMatchObject({ property: { value: 3 } });
    expect(await read(app, '/actuator/info')).toMatchObject({
      app: { name: 'SHOP', profiles: ['prod'] },
      build: { name: 'SHOP', version: '1' },
      git: { branch: 'main' },
    });
  });

  test("tell metrics in Micrometer's shape, of however many services", async () => {
    const registry = new InMemoryRegistry();
    const stock = await stockServer();
    registry.addInstance('STOCK', { port: stock.port });
    for (let service = 0; service < 300; service += 1) registry.addInstance(`S${service}`, { port: stock.port });
    const app = await startOperated(platform, registry, { actuator: true });
    const { axiosRef } = app.get(ServiceHttpClient);
    for (let call = 0; call < 3; call += 1) await axiosRef.get('lb://STOCK/quote');
    await Promise.all(Array.from({ length: 300 }, (_, service) => axiosRef.get(`lb://S${service}/`)));
    const { names } = await read(app, '/actuator/metrics');
    expect(names).toEqual(expect.arrayContaining(['process.uptime', 'jvm.memory.used', 'service_discovery.instances']));
    for (const name of names as string[]) {
      const metric = await read(app, `/actuator/metrics/${name}`);
      expect(metric).toMatchObject({ name, availableTags: expect.any(Array) as unknown[] });
      const [first] = metric['measurements'] as { value: unknown }[];
      expect(typeof first?.value).toBe('number');
    }
    const calls = '/actuator/metrics/service_discovery.client.call.duration';
    const duration = await read(app, `${calls}?tag=service.peer.name:STOCK&tag=outcome:success`);
    expect(duration['measurements']).toEqual([
      { statistic: 'COUNT', value: 3 },
      { statistic: 'TOTAL_TIME', value: expect.any(Number) as number },
      { statistic: 'MAX', value: expect.any(Number) as number },
    ]);
    const all = await read(app, calls);
    const services = (all['availableTags'] as { tag: string; values: string[] }[]).find(
      ({ tag }) => tag === 'service.peer.name',
    );
    expect(services?.values).toContain('other');
    expect(services?.values.length).toBeLessThanOrEqual(201);
    expect((all['measurements'] as { value: number }[])[0]?.value).toBe(303);
    expect(await read(app, '/actuator/metrics/jvm.memory.used?tag=area:heap')).toMatchObject({ baseUnit: 'bytes' });
    expect((await ask(app, '/actuator/metrics/none')).status).toBe(404);
    expect((await ask(app, '/actuator/metrics/jvm.memory.used?tag=area:none')).status).toBe(404);
  });

  test('are behind the same guard, change nothing when they may not, and are not there unless they are asked for', async () => {
    const guard = basicAuth({ username: 'a', password: 'b' });
    const app = await startOperated(platform, new InMemoryRegistry(), {
      actuator: { metadata: false },
      guard,
      readOnly: true,
    });
    const headers = { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` };
    for (const path of ['', '/health', '/env', '/metrics/process.uptime']) {
      expect((await ask(app, `/actuator${path}`)).status).toBe(401);
      expect((await ask(app, `/actuator${path}`, { headers })).status).toBe(200);
    }
    expect((await post(app, '/actuator/refresh', {}, headers)).status).toBe(403);
    expect((await post(app, '/actuator/serviceregistry', { status: 'DOWN' }, headers)).status).toBe(403);
    await registered(app);
    expect(app.get(AppRegistration).lease?.registration.metadata).not.toHaveProperty('management.context-path');
    const without = await startOperated(platform, new InMemoryRegistry());
    expect((await ask(without, '/actuator/health')).status).toBe(404);
  });
});

test('options that are none are one error, which names the field', () => {
  const register = (actuator: unknown) => () => DiscoveryOperatorModule.register({ actuator } as object);
  expect(register('yes')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field: 'actuator' }));
  expect(register({ path: '../x' })).toThrow(expect.objectContaining({ field: 'actuator.path' }));
  expect(register({ info: 1 })).toThrow(expect.objectContaining({ field: 'actuator.info' }));
  expect(register({ paht: 'x' })).toThrow(expect.objectContaining({ field: 'actuator.paht' }));
});
