import { afterEach, expect, it } from 'vitest';
import type { Backend, DiscoveryReport, Lease } from '../../../lib/backend/index.js';
import { eureka, EurekaClient, type EurekaOptions } from '../../../lib/backends/eureka/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext, freshName, freshPort, portsOf, registrationOf } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { override, rawRecord, startMeddlingProxy, until } from './support.js';

const HEARTBEAT_MS = 1000;

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

interface Opened {
  readonly backend: Backend;
  readonly events: DiscoveryEvent[];
  register(service: string): Lease;
  watch(service: string): DiscoveryReport[];
}

async function open(urls: readonly string[], options: Partial<EurekaOptions> = {}): Promise<Opened> {
  const events: DiscoveryEvent[] = [];
  const backend = eureka({
    serviceUrls: urls,
    fetchIntervalMs: 200,
    heartbeatMs: HEARTBEAT_MS,
    leaseMs: 10_000,
    requestTimeoutMs: 1000,
    connectTimeoutMs: 500,
    changeIntervalMs: 50,
    ...options,
  }).create(createContext(events));
  ending.push(() => backend.close());
  await backend.open();
  const { registry, discovery } = backend;
  if (registry === undefined || discovery === undefined) throw new Error('Eureka has both');
  return {
    backend,
    events,
    register: (service) => registry.register(registrationOf({ service })),
    watch: (service) => {
      const reports: DiscoveryReport[] = [];
      discovery.watch(service, (report) => void reports.push(report));
      return reports;
    },
  };
}

withServer('eureka', { variant: 'peers', private: true }, (server) => {
  it('one of two peers killed: calls go on within one attempt, registrations and lookups stay', async () => {
    const service = freshName('Peers');
    // A machine that is busy makes no answer a failure.
    const app = await open(server.urls, { shuffleServers: false, requestTimeoutMs: 30_000 });
    const lease = app.register(service);
    await lease.registered;
    const reports = app.watch(service);
    await until(() => reports.at(-1)?.instances?.length === 1, 'the instance is seen');
    const client = new EurekaClient({
      serviceUrls: server.urls,
      shuffleServers: false,
      shouldRegister: false,
      fetchIntervalMs: 60_000,
      logLevel: 'silent',
    });
    ending.push(() => client.stop());
    await client.start();
    const { instanceId } = lease.registration;
    const second = server.urls[1] ?? '';
    await until(() => rawRecord(second, service, instanceId), 'the other peer has it too');
    const told = reports.length;
    await server.nodes[0]?.stop();
    // One call, which finds the first server dead and the second alive.
    expect(await client.api.getAppInstance(service, instanceId)).toMatchObject({ instanceId });
    await client.refresh();
    expect(client.applications.getApplication(service).upInstances).toHaveLength(1);
    await lease.update({ metadata: { changed: 'yes' } });
    expect((await rawRecord(second, service, instanceId))?.['metadata']).toMatchObject({ changed: 'yes' });
    await until(() => reports.at(-1)?.instances?.[0]?.metadata['changed'] === 'yes', 'the change is seen');
    expect(reports.slice(told).every((report) => report.error === undefined && report.instances?.length === 1)).toBe(
      true,
    );
    expect(app.events.filter((event) => event.type === 'registration.failed')).toEqual([]);
    expect(app.backend.state.current.phase).toBe('ready');
    await server.nodes[0]?.restart();
  });
});

withServer('eureka', { private: true }, (server) => {
  it('restarted empty: every instance is back within one heartbeat plus jitter, an operator’s word too', async () => {
    const service = freshName('Restarted');
    const app = await open([server.url]);
    const leases = Array.from({ length: 20 }, () => app.register(service));
    await Promise.all(leases.map((lease) => lease.registered));
    const reports = app.watch(service);
    await until(() => reports.at(-1)?.instances?.length === 20, 'all are seen');
    const [first] = leases;
    const drained = first?.registration ?? registrationOf();
    await override(server.url, service, drained.instanceId, 'OUT_OF_SERVICE');
    await until(
      () => reports.at(-1)?.instances?.some((one) => one.id === drained.instanceId && one.status === 'OUT_OF_SERVICE'),
      'the operator’s word is seen',
    );
    // Also known to the lease, which asks or sees it with its heartbeats.
    await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS * 1.5));
    await server.restart();
    const count = async (): Promise<number> => {
      const response = await fetch(`${server.url}/apps/${service.toUpperCase()}`, {
        headers: { accept: 'application/json' },
      });
      if (response.status !== 200) return 0;
      return ((await response.json()) as { application: { instance: unknown[] } }).application.instance.length;
    };
    await until(async () => (await count()) === 20, 'all are back');
    expect(await rawRecord(server.url, service, drained.instanceId)).toMatchObject({ status: 'OUT_OF_SERVICE' });
    await Promise.all(leases.map((lease) => lease.revoke()));
    expect(await count()).toBe(0);
  });

  it('paused: lookups unaffected, and what is served is what was known; afterwards all goes on', async () => {
    const service = freshName('Paused');
    const app = await open([server.url]);
    const lease = app.register(service);
    await lease.registered;
    const reports = app.watch(service);
    await until(() => reports.at(-1)?.instances?.length === 1, 'the instance is seen');
    const client = new EurekaClient({
      serviceUrls: server.url,
      shouldRegister: false,
      fetchIntervalMs: 200,
      requestTimeoutMs: 500,
      logLevel: 'silent',
    });
    ending.push(() => client.stop());
    await client.start();
    expect(client.applications.getApplication(service).upInstances).toHaveLength(1);
    server.pause();
    try {
      await until(() => app.backend.state.current.phase === 'degraded', 'the outage is noticed');
      for (let lookup = 0; lookup < 1000; lookup += 1) {
        expect(client.applications.getApplication(service).upInstances).toHaveLength(1);
      }
      expect(await client.walkNodes(service, '/', (url) => url)).toBe(`http://127.0.0.1:${lease.registration.port}/`);
      expect(reports.some((report) => report.instances?.length === 0)).toBe(false);
      expect(reports.at(-1)?.error?.code).toBe('BACKEND_UNAVAILABLE');
    } finally {
      server.resume();
    }
    await until(() => app.backend.state.current.phase === 'ready', 'it is well again', 20_000);
    await until(
      () => portsOf(reports.at(-1)?.instances).includes(lease.registration.port),
      'the list comes again',
      20_000,
    );
  });

  it('revoked while the server hangs: does not come back when it goes on', async () => {
    const service = freshName('Hangs');
    const app = await open([server.url]);
    const lease = app.register(service);
    await lease.registered;
    server.pause();
    const change = lease.update({ metadata: { late: 'yes' } }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    const revoked = lease.revoke(AbortSignal.timeout(20_000));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    server.resume();
    await change;
    expect(await revoked).toBe('removed');
    const { instanceId } = lease.registration;
    const end = Date.now() + 2500;
    while (Date.now() < end) {
      expect(await rawRecord(server.url, service, instanceId)).toBeUndefined();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  it('down at the start: the app opens, and is registered as soon as the server is up', async () => {
    const service = freshName('Late');
    await server.stop();
    const app = await open([server.url]);
    const lease = app.register(service);
    await until(() => lease.state.current.phase === 'retrying', 'it tries');
    await until(() => app.backend.state.current.phase === 'degraded', 'the backend says so');
    await server.restart();
    await lease.registered;
    expect(await rawRecord(server.url, service, lease.registration.instanceId)).toMatchObject({ status: 'UP' });
  });

  /** How the registration's end was told. */
  const endOf = (app: Opened): string =>
    app.events.filter(({ type }) => type.startsWith('registration.')).at(-1)?.type ?? '';

  it('a wrong path: nothing is claimed to have been taken out, and nothing is asked for it', async () => {
    const proxy = await startMeddlingProxy(server.url);
    ending.push(() => proxy.close());
    // The server's own 404, which has the time of day in its text.
    const app = await open([`${proxy.url}/nowhere`]);
    const lease = app.register(freshName('Wrong'));
    await until(() => lease.state.current.phase === 'retrying', 'it tries');
    expect(await lease.revoke(AbortSignal.timeout(20_000))).toBe('removed');
    expect(endOf(app)).toBe('registration.absent');
    expect(proxy.requests.filter((request) => request.startsWith('DELETE'))).toEqual([]);
  });

  it('a server that has lost the instance says so at the removal', async () => {
    const service = freshName('Lost');
    const app = await open([server.url], { heartbeatMs: 30_000, leaseMs: 90_000 });
    const lease = app.register(service);
    await lease.registered;
    const path = `/apps/${service.toUpperCase()}/${lease.registration.instanceId}`;
    expect((await fetch(`${server.url}${path}`, { method: 'DELETE' })).status).toBe(200);
    expect(await lease.revoke(AbortSignal.timeout(20_000))).toBe('removed');
    expect(endOf(app)).toBe('registration.absent');
  });

  it('a way that leads elsewhere: its 404 does not mean that the record is gone', async () => {
    const proxy = await startMeddlingProxy(server.url);
    ending.push(() => proxy.close());
    const service = freshName('Astray');
    const app = await open([proxy.url]);
    const lease = app.register(service);
    await lease.registered;
    const { instanceId } = lease.registration;
    proxy.meddle = (_, response) => {
      response.writeHead(404, { 'content-type': 'text/html' }).end(`<h1>no route at ${Date.now()}</h1>`);
      return 'done';
    };
    await until(() => lease.state.current.phase === 'retrying', 'it is registered anew, and refused');
    expect(await lease.revoke()).toBe('left-to-expire');
    expect(endOf(app)).toBe('registration.left');
    expect(await rawRecord(server.url, service, instanceId)).toBeDefined();
  });

  it('a gateway that gave up on the registration: the record may be there, and is removed', async () => {
    const proxy = await startMeddlingProxy(server.url);
    ending.push(() => proxy.close());
    const service = freshName('Gateway');
    proxy.meddle = ({ method }, response) => {
      if (method !== 'POST') return 'forward';
      response.writeHead(504).end();
      return 'done';
    };
    const app = await open([proxy.url]);
    const lease = app.register(service);
    await until(() => lease.state.current.phase === 'retrying', 'it tries');
    await lease.revoke(AbortSignal.timeout(20_000));
    expect(proxy.requests.filter((request) => request.startsWith('DELETE'))).not.toEqual([]);
  });

  it('stopping in an outage ends in time and says that the record is left to expire', async () => {
    const proxy = await server.proxy();
    const client = new EurekaClient({
      serviceUrls: proxy.url,
      appName: freshName('Left'),
      instancePort: freshPort(),
      logLevel: 'silent',
      requestTimeoutMs: 600_000,
      stopTimeoutMs: 300,
    });
    await client.start();
    proxy.blackhole();
    // Not the time of a request: that would take longer than the test may.
    await client.stop();
    await proxy.close();
  });
});
