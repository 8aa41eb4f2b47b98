import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  Server as GrpcServer,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { consul, ConsulClient, type ConsulOptions } from '../../../lib/backends/consul/index.js';
import type { DiscoveryReport } from '../../../lib/backend/index.js';
import { createRegistration, type DiscoveryEvent, type RegistrationInput } from '../../../lib/model/index.js';
import { createContext, freshPort } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh, until } from './support/wait.js';

withServer('consul', { variant: 'dev' }, (server) => {
  const closing: (() => unknown)[] = [];
  let observer: ConsulClient;
  beforeEach(() => {
    observer = new ConsulClient(server.url);
    closing.push(() => observer.close());
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const open = async (options: ConsulOptions = {}) => {
    const events: DiscoveryEvent[] = [];
    const definition = consul({ address: server.url, check: { type: 'ttl', ttlMs: 3000 }, ...options });
    const backend = definition.create(createContext(events));
    closing.push(() => backend.close());
    await backend.open();
    const { registry, discovery } = backend;
    if (registry === undefined || discovery === undefined) throw new Error('it has both');
    const register = async (fields: Partial<RegistrationInput> = {}) => {
      const input = { service: fresh('registered'), host: '127.0.0.1', port: freshPort(), ...fields };
      const lease = registry.register(createRegistration(input));
      closing.push(() => lease.revoke(AbortSignal.timeout(5000)));
      await lease.registered;
      return lease;
    };
    const watch = (service: string) => {
      const reports: DiscoveryReport[] = [];
      discovery.watch(service, (report) => reports.push(report));
      const statuses = () =>
        reports
          .at(-1)
          ?.instances?.map((instance) => instance.status)
          .join();
      return { reports, statuses, until: (want: string) => until(() => statuses() === want, `the status ${want}`) };
    };
    return { backend, registry, discovery, events, register, watch };
  };
  const checkOf = async (id: string) => (await observer.checks.list())[`service:${id}`];

  it('a service is found however it is written, as Consul itself finds it', async () => {
    const app = await open();
    const name = fresh('Case');
    const { registration } = await app.register({ service: name });
    const other = app.watch(name.toUpperCase());
    await other.until('UP');
    // Under the name that was asked for: an app knows it by no other.
    expect(other.reports.at(-1)?.instances?.[0]).toMatchObject({
      service: name.toUpperCase(),
      port: registration.port,
    });
    // The catalogue has it once, as it was written.
    const [services] = await observer.catalog.services();
    expect(Object.keys(services).filter((one) => one.toLowerCase() === name.toLowerCase())).toEqual([name]);
  });

  it('everything of a registration is at the agent', async () => {
    const app = await open({ deregisterCriticalServiceAfterMs: 90_000, enableTagOverride: true });
    const lease = await app.register({
      host: 'localhost',
      ip: '127.0.0.1',
      scheme: 'https',
      zone: 'z1',
      tags: ['blue', 'v 2'],
      weight: 3,
      metadata: { version: '2', 'a.b/c': 'd' },
    });
    const { instanceId, port, service } = lease.registration;
    const stored = await observer.services.info(instanceId);
    expect(stored).toMatchObject({
      ID: instanceId,
      Service: service,
      Address: 'localhost',
      Port: port,
      Tags: ['blue', 'v 2'],
      Meta: { version: '2', zone: 'z1', secure: 'true' },
      Weights: { Passing: 3, Warning: 3 },
      EnableTagOverride: true,
    });
    expect(stored.TaggedAddresses?.['lan']).toEqual({ Address: '127.0.0.1', Port: port });
    expect(await checkOf(instanceId)).toMatchObject({ Status: 'passing', Type: 'ttl', Output: 'UP' });
    const seen = app.watch(service);
    await seen.until('UP');
    expect(seen.reports.at(-1)?.instances?.[0]).toMatchObject({
      id: instanceId,
      url: `https://localhost:${port}`,
      zone: 'z1',
      weight: 3,
      metadata: { version: '2', 'a.b/c': 'd' },
    });
  });

  it('weights that Consul has no field for', async () => {
    const app = await open();
    for (const weight of [0, 0.25, 100_000]) {
      const lease = await app.register({ weight });
      const seen = app.watch(lease.registration.service);
      await until(() => seen.reports.at(-1)?.instances?.[0]?.weight === weight, `the weight ${weight}`);
    }
  });

  it('metadata beyond Consul’s limits is refused at once', async () => {
    const app = await open();
    const base = { service: 'x', host: '127.0.0.1', port: 1 };
    const large = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`key${at}`, 'x']));
    for (const metadata of [large, { key: 'x'.repeat(513) }, { ['k'.repeat(129)]: 'x' }]) {
      expect(() => app.registry.register(createRegistration({ ...base, metadata }))).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    }
    const lease = await app.register();
    await expect(lease.update({ metadata: large })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(lease.state.current.phase).toBe('registered');
    // What is just within them is taken.
    await lease.update({ metadata: { ['k'.repeat(128)]: 'x'.repeat(512) } });
  });

  it('the TTL check follows the status of the app', async () => {
    const app = await open({ discovery: { passingOnly: false } });
    const lease = await app.register({ status: 'STARTING' });
    const seen = app.watch(lease.registration.service);
    await seen.until('STARTING');
    for (const status of ['UP', 'DOWN', 'UNKNOWN', 'OUT_OF_SERVICE', 'UP'] as const) {
      await lease.setStatus(status);
      await seen.until(status);
    }
    expect((await checkOf(lease.registration.instanceId))?.Status).toBe('passing');
  });

  it('only passing instances are seen by default, and those in maintenance as OUT_OF_SERVICE', async () => {
    const app = await open();
    const service = fresh('mixed');
    const [first, second] = [await app.register({ service }), await app.register({ service })];
    const seen = app.watch(service);
    await seen.until('UP,UP');
    await first.setStatus('DOWN');
    await seen.until('UP');
    await second.setStatus('OUT_OF_SERVICE');
    await seen.until('OUT_OF_SERVICE');
    await Promise.all([first.setStatus('UP'), second.setStatus('UP')]);
    await seen.until('UP,UP');
  });

  it("an operator's maintenance survives heartbeats, changes and a registration anew", async () => {
    const app = await open();
    const lease = await app.register();
    const { service, instanceId } = lease.registration;
    const seen = app.watch(service);
    await seen.until('UP');
    await observer.services.disable(instanceId, { reason: 'by hand' });
    await seen.until('OUT_OF_SERVICE');
    await lease.update({ metadata: { changed: 'yes' } });
    await lease.setStatus('DOWN');
    await lease.setStatus('UP');
    const renewedFrom = (await checkOf(instanceId))?.Output;
    expect(renewedFrom).toBe('UP');
    expect(seen.statuses()).toBe('OUT_OF_SERVICE');
    expect((await observer.checks.list())[`_service_maintenance:${instanceId}`]?.Notes).toBe('by hand');
    await observer.services.enable(instanceId);
    await seen.until('UP');
  });

  it('the maintenance that a former run left behind ends with the next one of the same id', async () => {
    const before = await open();
    const lease = await before.register();
    await lease.setStatus('OUT_OF_SERVICE');
    await before.backend.close();
    const after = await open();
    const again = await after.register({ ...lease.registration, status: 'UP' });
    const seen = after.watch(again.registration.service);
    await seen.until('UP');
  });

  it('a TTL is passed in time, for long', async () => {
    const app = await open({ check: { type: 'ttl', ttlMs: 2000 } });
    const lease = await app.register();
    const seen = app.watch(lease.registration.service);
    await seen.until('UP');
    const end = Date.now() + 5000;
    await until(() => Date.now() > end || seen.statuses() !== 'UP', 'five seconds', 6000);
    expect(seen.reports.map((report) => report.instances?.length)).toEqual([1]);
    expect(app.events.filter((event) => event.type === 'registration.failed')).toEqual([]);
  });

  it('what somebody removed or replaced is registered again', async () => {
    const app = await open();
    const lease = await app.register();
    const { instanceId, service } = lease.registration;
    const registrations = () => app.events.filter((event) => event.type === 'registration.registered').length;
    await observer.checks.deregister(`service:${instanceId}`);
    await until(() => registrations() === 2, 'the check is noticed to be gone');
    await observer.services.register({ ID: instanceId, Name: service, Port: 1 }, { replaceExistingChecks: true });
    await until(() => registrations() === 3, 'so is the other registration');
    expect(await checkOf(instanceId)).toMatchObject({ Type: 'ttl', Status: 'passing' });
    expect((await observer.services.info(instanceId)).Port).toBe(lease.registration.port);
  });

  describe('checks by the agent', () => {
    const listening = async (healthy: () => boolean): Promise<{ port: number; asked: () => string[] }> => {
      const asked: string[] = [];
      const target: Server = createServer((request, response) => {
        asked.push(`${request.method} ${request.url} ${String(request.headers['x-probe'])}`);
        response.writeHead(healthy() ? 200 : 500).end();
      });
      await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
      closing.push(() => {
        target.closeAllConnections();
        target.close();
      });
      return { port: (target.address() as AddressInfo).port, asked: () => asked };
    };

    it('http: asked at the health path, and taken out while it fails', async () => {
      let healthy = true;
      const { port, asked } = await listening(() => healthy);
      const app = await open({
        check: { type: 'http', intervalMs: 1000, timeoutMs: 500, method: 'HEAD', headers: { 'X-Probe': 'consul' } },
        verifyMs: 300,
      });
      const lease = await app.register({ port, healthPath: '/ready?deep=1' });
      const seen = app.watch(lease.registration.service);
      await seen.until('UP');
      await until(() => asked().includes('HEAD /ready?deep=1 consul'), 'the agent asks');
      healthy = false;
      await seen.until('');
      healthy = true;
      await seen.until('UP');
      // The app has a say too, by maintenance.
      await lease.setStatus('DOWN');
      await seen.until('');
      await lease.setStatus('UP');
      await seen.until('UP');
      await observer.services.deregister(lease.registration.instanceId);
      const registrations = () => app.events.filter((event) => event.type === 'registration.registered').length;
      const before = registrations();
      await until(() => registrations() > before, 'it is registered again');
      await seen.until('UP');
    });

    it('tcp', async () => {
      const { port } = await listening(() => true);
      const app = await open({ check: { type: 'tcp', intervalMs: 1000 } });
      const lease = await app.register({ port });
      const dead = await app.register({ service: lease.registration.service });
      const seen = app.watch(lease.registration.service);
      await until(() => seen.reports.at(-1)?.instances?.length === 1, 'the one where nobody listens is out');
      expect(seen.reports.at(-1)?.instances?.[0]?.port).toBe(port);
      expect((await checkOf(dead.registration.instanceId))?.Status).toBe('critical');
    });

    it('grpc', async () => {
      let serving = true;
      const target = new GrpcServer();
      const pass = (bytes: Buffer): Buffer => bytes;
      const health: ServiceDefinition = {
        check: {
          path: '/grpc.health.v1.Health/Check',
          requestStream: false,
          responseStream: false,
          requestSerialize: pass,
          requestDeserialize: pass,
          responseSerialize: pass,
          responseDeserialize: pass,
        },
      };
      const implementation: UntypedServiceImplementation = {
        // Field 1 of the answer: 1 serving, 2 not.
        check: (_: unknown, reply: (error: null, bytes: Buffer) => void) =>
          reply(null, Buffer.from([8, serving ? 1 : 2])),
      };
      target.addService(health, implementation);
      const port = await new Promise<number>((resolve, reject) => {
        target.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(error),
        );
      });
      closing.push(() => target.forceShutdown());
      const app = await open({ check: { type: 'grpc', intervalMs: 1000, service: 'orders' } });
      const lease = await app.register({ port, scheme: 'grpc' });
      const seen = app.watch(lease.registration.service);
      await seen.until('UP');
      expect(seen.reports.at(-1)?.instances?.[0]?.url).toBe(`grpc://127.0.0.1:${port}`);
      serving = false;
      await seen.until('');
      serving = true;
      await seen.until('UP');
    });

    it('none: there as long as it is registered', async () => {
      const app = await open({ check: { type: 'none' }, verifyMs: 200 });
      const lease = await app.register();
      const seen = app.watch(lease.registration.service);
      await seen.until('UP');
      expect(await checkOf(lease.registration.instanceId)).toBeUndefined();
      await lease.setStatus('OUT_OF_SERVICE');
      await seen.until('OUT_OF_SERVICE');
      await lease.revoke();
      await seen.until('');
    });
  });

  describe('what is asked for', () => {
    it('tags, a filter, node metadata, another consistency, warnings', async () => {
      const service = fresh('chosen');
      const put = (id: string, tags: string[], version: string, status: 'passing' | 'warning') =>
        observer.services.register({
          ID: `${service}-${id}`,
          Name: service,
          Address: '10.0.0.1',
          Port: Number(id),
          Tags: tags,
          Meta: { version },
          Weights: { Passing: 10, Warning: 2 },
          Check: { TTL: '10m', Status: status },
        });
      await Promise.all([
        put('1', ['a', 'b'], '1', 'passing'),
        put('2', ['a'], '2', 'passing'),
        put('3', ['a', 'b'], '2', 'warning'),
      ]);
      const portsWith = async (discovery: ConsulOptions['discovery'], want: string) => {
        const app = await open(discovery === undefined ? {} : { discovery });
        const seen = app.watch(service);
        const ports = () =>
          seen.reports
            .at(-1)
            ?.instances?.map((instance) => `${instance.port}*${instance.weight}`)
            .sort()
            .join();
        await until(() => ports() === want, `${JSON.stringify(discovery)} gives ${want}, not ${String(ports())}`);
      };
      await portsWith(undefined, '1*10,2*10');
      await portsWith({ tags: ['a', 'b'] }, '1*10');
      await portsWith({ filter: 'Service.Meta.version == "2"' }, '2*10');
      await portsWith({ acceptWarning: true }, '1*10,2*10,3*2');
      await portsWith({ nodeMeta: { nothing: 'of the kind' } }, '');
      await portsWith({ near: '_agent', consistency: 'stale', maxStaleMs: 1000 }, '1*10,2*10');
      await portsWith({ tags: ['b'], services: { [service]: { tags: ['a'], acceptWarning: true } } }, '1*10,2*10,3*2');
      await portsWith({ datacenters: ['dc1'] }, '1*10,2*10');
      for (const id of ['1', '2', '3']) await observer.services.deregister(`${service}-${id}`);
    });

    it('a service that is the node’s: its address', async () => {
      const service = fresh('nodes-own');
      await observer.services.register({ Name: service, Port: 7 });
      const seen = (await open()).watch(service);
      await seen.until('UP');
      expect(seen.reports.at(-1)?.instances?.[0]?.host).toBe('127.0.0.1');
      await observer.services.deregister(service);
    });
  });
});
