import { describe, expect, it } from 'vitest';
import { curator } from '../../../lib/backends/zookeeper/index.js';
import { createRegistration } from '../../../lib/model/index.js';
import { freshName, freshPort } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { LogRecorder, Opened, until, watching } from './support.js';

/** What Spring Cloud Zookeeper 5.0 writes (fields in Curator's order). */
function springRecord(fields: Record<string, unknown> = {}): string {
  return JSON.stringify({
    name: 'spring-app',
    id: '8f1c5a3e-6f0b-4f7e-9c55-1b5ad7c90f1a',
    address: '10.0.0.7',
    port: 8080,
    sslPort: null,
    payload: {
      '@class': 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance',
      id: 'application-1',
      name: 'spring-app',
      metadata: { instance_status: 'UP', version: '2.0', zone: 'eu-1' },
    },
    registrationTimeUTC: 1_700_000_000_000,
    serviceType: 'DYNAMIC',
    uriSpec: {
      parts: [
        { value: 'scheme', variable: true },
        { value: '://', variable: false },
        { value: 'address', variable: true },
        { value: ':', variable: false },
        { value: 'port', variable: true },
      ],
    },
    ...fields,
  });
}

withServer('zookeeper', {}, (server) => {
  const opened = new Opened();
  const freshBase = (): string => `/${freshName('services')}`;

  describe('Curator’s layout', () => {
    it('writes <base>/<service>/<id>, ephemeral, exactly as Spring reads it', async () => {
      const base = freshBase();
      const { backend } = await opened.backend({ servers: server.url, layout: curator({ basePath: base }) });
      const lease = backend.registry.register(
        createRegistration({
          service: 'ts-demo',
          instanceId: 'ts-demo-1',
          host: '10.0.0.5',
          port: 9090,
          metadata: { version: '1.4.0' },
          zone: 'eu-2',
          weight: 3,
        }),
      );
      await lease.registered;
      const observer = await opened.client(server.url);
      const found = await observer.getData(`${base}/ts-demo/ts-demo-1`);
      expect(found?.stat.owner).toBe(backend.client.sessionId);
      const text = found?.data.toString() ?? '';
      const record = JSON.parse(text) as Record<string, unknown>;
      expect(Object.keys(record)).toEqual([
        'name',
        'id',
        'address',
        'port',
        'sslPort',
        'payload',
        'registrationTimeUTC',
        'serviceType',
        'uriSpec',
      ]);
      expect(record).toMatchObject({
        name: 'ts-demo',
        id: 'ts-demo-1',
        address: '10.0.0.5',
        port: 9090,
        sslPort: null,
        serviceType: 'DYNAMIC',
        payload: {
          '@class': 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance',
          id: 'ts-demo-1',
          name: 'ts-demo',
          metadata: { instance_status: 'UP', version: '1.4.0', zone: 'eu-2', weight: '3' },
        },
      });
      await lease.setStatus('OUT_OF_SERVICE');
      const after = await observer.getData(`${base}/ts-demo/ts-demo-1`);
      expect(after?.data.toString()).toContain('"instance_status":"OUT_OF_SERVICE"');
      expect(JSON.parse(after?.data.toString() ?? '')).toMatchObject({ enabled: false });
      expect(after?.stat.czxid).toBe(found?.stat.czxid);
      await lease.setStatus('UP');
      const again = await observer.getData(`${base}/ts-demo/ts-demo-1`);
      expect(again?.data.toString()).not.toContain('enabled');
    });

    it('has services in folders, which are none themselves', async () => {
      const base = freshBase();
      const test = await opened.backend({ servers: server.url, layout: curator({ basePath: base }) });
      const port = freshPort();
      const registration = createRegistration({ service: 'team/eu/orders', host: '10.0.0.5', port });
      const upper = createRegistration({ service: 'team', instanceId: 't-1', host: '10.0.0.6', port });
      await test.backend.registry.register(registration).registered;
      await test.backend.registry.register(upper).registered;
      expect(await test.backend.client.exists(`${base}/team/eu/orders/${registration.instanceId}`)).toBeDefined();
      const [orders, team, folder] = ['team/eu/orders', 'team', 'team/eu'].map((name) => watching(test, name));
      await until(() => orders?.ports()[0] === port, 'the one in the folder is seen');
      await until(() => team?.reports.at(-1)?.instances?.length === 1, 'the one beside it too');
      await until(() => folder?.reports.at(-1)?.instances?.length === 0, 'a folder has none');
      expect(await test.backend.discovery.listServices()).toEqual(['team', 'team/eu/orders']);
      expect(test.events.filter(({ type }) => type === 'record.skipped')).toEqual([]);
      for (const name of ['/team', 'team/', 'team//x', 'team/../x', '../x']) {
        expect(() => test.backend.discovery.watch(name, () => {})).toThrow(
          expect.objectContaining({ code: 'INVALID_NAME' }),
        );
      }
    });

    it('ASAB’s layout has no folders, and says so', async () => {
      const test = await opened.asab(server.url, { path: freshName('asab') });
      const registration = createRegistration({ service: 'team/orders', host: '10.0.0.5', port: 1 });
      for (const use of [
        () => test.backend.registry.register(registration),
        () => test.backend.discovery.watch('team/orders', () => {}),
      ]) {
        expect(use).toThrow(
          expect.objectContaining({ code: 'INVALID_NAME', message: expect.stringMatching(/nameFor/) }),
        );
      }
    });

    it('reads what Spring and Curator write, and skips what nobody can read', async () => {
      const base = freshBase();
      const app = await opened.client(server.url);
      const records: Readonly<Record<string, string>> = {
        spring: springRecord(),
        secure: springRecord({ id: 'secure', sslPort: 8443 }),
        'port as text': springRecord({ id: 'text', port: '8081' }),
        out: springRecord({
          id: 'out',
          port: 8082,
          payload: { '@class': 'x', metadata: { instance_status: 'out_of_service' } },
        }),
        disabled: springRecord({ id: 'disabled', port: 8083, enabled: false }),
        'no payload': springRecord({ id: 'plain', port: 8084, payload: null, uriSpec: null }),
        map: springRecord({ id: 'map', port: 8085, payload: { '@class': 'java.util.HashMap', color: 'red' } }),
        unknown: springRecord({ id: 'unknown', port: 8086, added: { later: true }, payload: ['java.lang.Long', 5] }),
        'bad: empty': '',
        'bad: no json': '{',
        'bad: no address': springRecord({ address: null }),
        'bad: no port': springRecord({ port: null }),
        'bad: port': springRecord({ port: 99_999 }),
        'bad: host': springRecord({ address: 'a/b' }),
        'bad: huge': springRecord({ payload: 'x'.repeat(300_000) }),
      };
      for (const [name, record] of Object.entries(records)) {
        await app.create(`${base}/spring-app/${name}`, Buffer.from(record), { mode: 'ephemeral' });
      }
      const test = await opened.backend({ servers: server.url, layout: curator({ basePath: base }) });
      const reader = watching(test, 'spring-app');
      await until(() => reader.ports().length === 8, 'the good ones are seen');
      const byPort = new Map(reader.reports.at(-1)?.instances?.map((one) => [one.port, one]));
      expect(byPort.get(8080)).toMatchObject({
        service: 'spring-app',
        id: '8f1c5a3e-6f0b-4f7e-9c55-1b5ad7c90f1a',
        host: '10.0.0.7',
        scheme: 'http',
        status: 'UP',
        zone: 'eu-1',
        metadata: { version: '2.0' },
      });
      expect(byPort.get(8443)).toMatchObject({ scheme: 'https', url: 'https://10.0.0.7:8443' });
      expect(byPort.get(8081)?.status).toBe('UP');
      expect(byPort.get(8082)?.status).toBe('OUT_OF_SERVICE');
      expect(byPort.get(8083)?.status).toBe('OUT_OF_SERVICE');
      expect(byPort.get(8084)).toMatchObject({ status: 'UP', metadata: {} });
      expect(byPort.get(8085)?.metadata).toEqual({ color: 'red' });
      expect(test.events.filter((event) => event.type === 'record.skipped')).toHaveLength(7);
      expect(await test.backend.discovery.listServices()).toEqual(['spring-app']);
    });

    it('replaces the node that the session before left, whose expiry takes nothing away', async () => {
      const base = freshBase();
      const service = freshName('svc');
      const registration = createRegistration({ service, instanceId: 'one', host: '127.0.0.1', port: freshPort() });
      const old = await opened.client(server.url, { sessionTimeoutMs: 1000 });
      await old.create(`${base}/${service}/one`, Buffer.from(springRecord({ id: 'one' })), { mode: 'ephemeral' });
      const test = await opened.backend({ servers: server.url, layout: curator({ basePath: base }) });
      await test.backend.registry.register(registration).registered;
      const stat = await test.backend.client.exists(`${base}/${service}/one`);
      expect(stat?.owner).toBe(test.backend.client.sessionId);
      await old.close();
      expect((await test.backend.client.exists(`${base}/${service}/one`))?.owner).toBe(test.backend.client.sessionId);
    });

    it('two that live with one id don’t take the node from each other for ever', async () => {
      const base = freshBase();
      const service = freshName('svc');
      const registration = createRegistration({ service, instanceId: 'one', host: '127.0.0.1', port: 80 });
      const log = new LogRecorder();
      const layout = curator({ basePath: base });
      const first = await opened.backend({ servers: server.url, layout }, { logger: log });
      const second = await opened.backend({ servers: server.url, layout });
      await first.backend.registry.register(registration).registered;
      await second.backend.registry.register(registration).registered;
      await until(() => log.of('warn').some((line) => /its own id/.test(line)), 'the first one is warned');
      const stat = await first.backend.client.exists(`${base}/${service}/one`);
      expect(stat?.owner).toBe(second.backend.client.sessionId);
      const { czxid } = stat ?? {};
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect((await first.backend.client.exists(`${base}/${service}/one`))?.czxid).toBe(czxid);
      // The second one goes: the first one is there again.
      await second.close();
      await until(
        async () =>
          (await first.backend.client.exists(`${base}/${service}/one`))?.owner === first.backend.client.sessionId,
        'the first one has it again',
      );
    });

    it('reads the services in use and no others; a service that comes later is seen', async () => {
      const base = freshBase();
      const app = await opened.client(server.url);
      const test = await opened.backend({ servers: server.url, layout: curator({ basePath: base }) });
      const reader = watching(test, 'later');
      await until(() => reader.reports.at(-1)?.instances?.length === 0, 'it begins empty');
      await app.create(`${base}/later/a`, Buffer.from(springRecord({ id: 'a', port: 1 })), { mode: 'ephemeral' });
      await until(() => reader.ports().length === 1, 'it is seen');
      await app.remove(`${base}/later/a`);
      await until(() => reader.ports().length === 0, 'it goes');
      await app.remove(`${base}/later`);
      await app.create(`${base}/later/b`, Buffer.from(springRecord({ id: 'b', port: 2 })), { mode: 'ephemeral' });
      await until(() => reader.ports()[0] === 2, 'it is seen after its container vanished');
      // Same name, other content, in one breath: the old watch is gone with the old node.
      await Promise.all([
        app.remove(`${base}/later/b`),
        app.create(`${base}/later/b`, Buffer.from(springRecord({ id: 'b', port: 3 })), { mode: 'ephemeral' }),
      ]);
      await until(() => reader.ports()[0] === 3, 'the new one is seen');
      await app.setData(`${base}/later/b`, Buffer.from(springRecord({ id: 'b', port: 4 })));
      await until(() => reader.ports()[0] === 4, 'and watched');
    });
  });
});
