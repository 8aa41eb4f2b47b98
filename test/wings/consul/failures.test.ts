import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { consul, ConsulClient, type ConsulOptions } from '../../../lib/backends/consul/index.js';
import { systemClock, type ConfigReport, type DiscoveryReport, type Lease } from '../../../lib/backend/index.js';
import { ServiceView } from '../../../lib/discovery/index.js';
import { createRegistration, type DiscoveryEvent, type Registration } from '../../../lib/model/index.js';
import { createContext, freshPort, portsOf } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { RemoteProxy } from './support/remote-proxy.js';
import { fresh, until } from './support/wait.js';

const registrationOf = (service = fresh('failing')): Registration =>
  createRegistration({ service, host: '127.0.0.1', port: freshPort() });

withServer('consul', { variant: 'dev', private: true }, (server) => {
  const closing: (() => Promise<unknown>)[] = [];
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
    const backend = consul({
      address: server.url,
      check: { type: 'ttl', ttlMs: 3000 },
      requestTimeoutMs: 1500,
      watch: { maxBackoffMs: 500 },
      ...options,
    }).create(createContext(events));
    closing.push(() => backend.close());
    await backend.open();
    const { registry, discovery, config } = backend;
    if (registry === undefined || discovery === undefined || config === undefined) throw new Error('it has all three');
    return { backend, registry, discovery, config, events };
  };
  const watching = (app: Awaited<ReturnType<typeof open>>, service: string) => {
    const reports: DiscoveryReport[] = [];
    const watch = app.discovery.watch(service, (report) => reports.push(report));
    return { reports, watch, last: () => reports.at(-1) };
  };
  const registered = (lease: Lease) => until(() => lease.state.current.phase === 'registered', 'it is registered');
  const registeredTimes = (app: Awaited<ReturnType<typeof open>>, lease: Lease | undefined): number =>
    app.events.filter(
      (event) => event.type === 'registration.registered' && event.instanceId === lease?.registration.instanceId,
    ).length;
  const idsOf = async (service: string) =>
    Object.keys(await observer.services.list({ filter: `Service == "${service}"` }));

  it('an agent that is not there yet: the app opens, and registers when it comes', async () => {
    await server.stop();
    const app = await open();
    const lease = app.registry.register(registrationOf());
    const seen = watching(app, lease.registration.service);
    await until(() => app.backend.state.current.phase === 'degraded', 'it says that nobody answers');
    await until(() => seen.last()?.error !== undefined, 'the watch says so');
    await server.restart();
    await lease.registered;
    await until(() => seen.last()?.instances?.length === 1, 'the instance is seen');
    await until(() => app.backend.state.current.phase === 'ready', 'it is ready');
  });

  it('killed and restarted empty: registrations are back in seconds, whatever their TTL; lists and configuration follow', async () => {
    const app = await open({ check: { type: 'ttl', ttlMs: 60_000 } });
    const leases = [1, 2, 3].map(() => app.registry.register(registrationOf('restarted')));
    await Promise.all(leases.map((lease) => lease.registered));
    const seen = watching(app, 'restarted');
    await until(() => seen.last()?.instances?.length === 3, 'all are seen');
    const documents: ConfigReport[] = [];
    await observer.kv.set('config/application/x', 'before');
    app.config.watch({ kind: 'application', application: 'restarted', profiles: [] }, (report) =>
      documents.push(report),
    );
    await until(() => documents.at(-1)?.documents?.length === 1, 'the configuration is there');
    await server.restart({ keepData: false });
    // Their next heartbeat would come in forty seconds.
    await until(async () => (await idsOf('restarted')).length === 3, 'the agent has all of them', 8000);
    for (const lease of leases) await registered(lease);
    await until(() => seen.last()?.instances?.length === 3, 'they are seen again');
    await until(() => documents.at(-1)?.documents?.length === 0, 'the configuration is gone, as the server says');
    await observer.kv.set('config/application/x', 'after');
    await until(() => JSON.stringify(documents.at(-1)?.documents).includes('after'), 'changes are seen again');
    expect(app.events.filter((event) => event.type === 'registration.registered').length).toBeGreaterThanOrEqual(6);
  });

  it('killed and restarted empty: who calls is never left with nobody, though instances renew in twenty seconds only', async () => {
    // Nothing of theirs waits at the agent: they notice with their next heartbeat.
    const instances = await Promise.all([1, 2].map(() => open({ check: { type: 'ttl', ttlMs: 30_000 } })));
    const leases = instances.map((app) => app.registry.register(registrationOf('called')));
    await Promise.all(leases.map((lease) => lease.registered));
    const caller = await open({ check: { type: 'ttl', ttlMs: 30_000 } });
    const view = new ServiceView('called', {
      clock: systemClock,
      sources: [{ backend: 'consul', driver: caller.discovery }],
      report: () => {},
    });
    closing.push(() => view.close());
    await until(() => view.current.instances.length === 2, 'both are seen');
    const seen: number[] = [];
    view.subscribe(({ instances: list }) => seen.push(list.length));
    await server.restart({ keepData: false });
    await until(() => instances.every((app, at) => registeredTimes(app, leases[at]) === 2), 'both are back', 45_000);
    await until(() => view.current.instances.length === 2 && view.current.state === 'fresh', 'both are seen again');
    expect(seen).not.toContain(0);
  });

  it('paused: noticed long before the blocking query would end; all is well again after it', async () => {
    const app = await open();
    const lease = app.registry.register(registrationOf());
    await lease.registered;
    const seen = watching(app, lease.registration.service);
    const others = Array.from({ length: 12 }, () => watching(app, fresh('other')));
    await until(() => seen.last()?.instances?.length === 1, 'it is seen');
    await until(() => others.every((other) => other.reports.length === 1), 'so are the others, which are none');
    server.pause();
    try {
      // The watches asked for a minute; the heartbeat finds out in seconds, and has them asked again, all at once.
      await until(() => seen.last()?.error !== undefined, 'the watch knows', 12_000);
      await until(() => others.every((other) => other.last()?.error !== undefined), 'so do all others', 3000);
      expect(app.backend.state.current.phase).toBe('degraded');
      expect(lease.state.current.phase).toBe('retrying');
    } finally {
      server.resume();
    }
    await registered(lease);
    await until(() => seen.last()?.instances?.length === 1, 'the list is told again');
    await until(() => app.backend.state.current.phase === 'ready', 'it is ready');
    expect(await lease.revoke()).toBe('removed');
  });

  it('revoked while the agent is paused in the middle of a change: nothing remains', async () => {
    for (let round = 0; round < 3; round += 1) {
      const app = await open();
      const lease = app.registry.register(registrationOf());
      await lease.registered;
      server.pause();
      let revocation: ReturnType<Lease['revoke']>;
      try {
        lease.update({ metadata: { late: 'yes' } }).catch(() => {});
        await until(() => lease.state.current.phase === 'retrying', 'the change was given up');
        revocation = lease.revoke(AbortSignal.timeout(20_000));
        await until(() => lease.state.current.error?.message.includes('deregister') === true, 'so was the removal');
      } finally {
        server.resume();
      }
      expect(await revocation).toBe('removed');
      expect(await idsOf(lease.registration.service)).toEqual([]);
      await app.backend.close();
    }
  });

  it('a connection on which nothing comes any more: given up in time, and healed', async () => {
    const proxy = await RemoteProxy.open(server.url);
    closing.push(() => proxy.close());
    const app = await open({ address: proxy.url, watch: { waitMs: 1000, maxBackoffMs: 300 } });
    const service = fresh('blackhole');
    await observer.services.register({ Name: service, Port: 1, Address: '10.0.0.1' });
    const seen = watching(app, service);
    await until(() => seen.last()?.instances?.length === 1, 'it is seen');
    await proxy.blackhole();
    // By the time limit of the read alone: nobody closes the connection.
    await until(() => seen.last()?.error !== undefined, 'it is noticed');
    await proxy.heal({ resetHeld: true });
    await until(() => seen.last()?.instances?.length === 1, 'it is seen again');
    await proxy.reset();
    await observer.services.register({ ID: `${service}-2`, Name: service, Port: 2, Address: '10.0.0.1' });
    await until(() => portsOf(seen.last()?.instances).join() === '1,2', 'a change after a reset is seen');
    await Promise.all([observer.services.deregister(service), observer.services.deregister(`${service}-2`)]);
  });

  it('a wait longer than the time limit is no time-out', async () => {
    const client = new ConsulClient({ address: server.url, requestTimeoutMs: 300 });
    closing.push(() => client.close());
    const [, meta] = await client.kv.get('quiet');
    const began = Date.now();
    await client.kv.get('quiet', { watch: [meta, 1500] });
    expect(Date.now() - began).toBeGreaterThanOrEqual(1400);
  });

  describe('an app in a process of its own', () => {
    const run = async (service: string, mode: 'stay' | 'end'): Promise<ChildProcess> => {
      const child = fork(
        fileURLToPath(new URL('./support/app.ts', import.meta.url)),
        [server.url, service, String(freshPort()), mode],
        { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
      );
      closing.push(() => {
        if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
        child.kill('SIGKILL');
        return once(child, 'exit');
      });
      expect((await once(child, 'message'))[0]).toBe('registered');
      return child;
    };

    it('is gone from lists soon after it was killed', async () => {
      const app = await open();
      const service = fresh('killed');
      const child = await run(service, 'stay');
      const seen = watching(app, service);
      await until(() => seen.last()?.instances?.length === 1, 'it is seen');
      child.kill('SIGKILL');
      // Its TTL is two seconds.
      await until(() => seen.last()?.instances?.length === 0, 'it is gone', 8000);
      await observer.services.deregister((await idsOf(service))[0] ?? '');
    });

    it('ends by itself when it has closed its backend', async () => {
      const child = await run(fresh('ending'), 'end');
      const [code] = child.exitCode === null ? ((await once(child, 'exit')) as [number]) : [child.exitCode];
      expect(code).toBe(0);
    });
  });
});
