import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consul, ConsulClient } from '../../../lib/backends/consul/index.js';
import type { ConfigReport, DiscoveryReport } from '../../../lib/backend/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext, portsOf } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { startAgent, type OwnAgent } from './support/own-agents.js';
import { fresh, until } from './support/wait.js';

withServer('consul', { variant: 'dev' }, () => {
  describe('several agents', () => {
    const key = 'pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvMwy7Cu5s=';
    const other = 'cg8StVXbQJ0gPvMd9o7yrg==';
    let first: OwnAgent;
    let second: OwnAgent;
    let client: OwnAgent;
    let one: ConsulClient;
    let two: ConsulClient;
    let leaf: ConsulClient;

    beforeAll(async () => {
      first = await startAgent('one', () => ({ datacenter: 'dc1', encrypt: key }));
      second = await startAgent('two', () => ({ datacenter: 'dc2', encrypt: key }));
      // Dev mode is a server: a client agent needs a folder of its own.
      client = await startAgent(
        'leaf',
        () => ({
          server: false,
          datacenter: 'dc1',
          encrypt: key,
        }),
        // Alone it knows of no leader.
        { dev: false, ready: async (alone) => (await alone.agent.self()).Config.NodeName === 'leaf' },
      );
      one = new ConsulClient(`127.0.0.1:${first.ports.http}`);
      two = new ConsulClient(`127.0.0.1:${second.ports.http}`);
      leaf = new ConsulClient(`127.0.0.1:${client.ports.http}`);
    }, 120_000);
    afterAll(async () => {
      await Promise.all([one.close(), two.close(), leaf.close()]);
      await Promise.all([first, second].map((agent) => agent.server.dispose()));
      // It ends by itself, at a moment that nobody knows.
      await until(async () => {
        await client.server.dispose();
        return true;
      }, 'the leaf is gone');
    });

    it('CO-37 CO-38 joins, and is a member', async () => {
      await expect(leaf.status.leader()).rejects.toMatchObject({ name: 'ConsulError', kind: 'server' });
      expect(await leaf.members.join(`127.0.0.1:${first.ports.serf_lan}`)).toBe(true);
      const names = async () => (await one.members.list()).map((member) => member.Name).sort();
      await until(async () => (await names()).join() === 'leaf,one', 'both are members');
      await until(async () => (await leaf.status.leader()) !== '', 'it knows the leader');
    });

    it('CO-08 CO-37 CO-39 CO-48 CO-77 joins over the WAN, and sees the other datacentre', async () => {
      expect(await one.members.join(`127.0.0.1:${second.ports.serf_wan}`, { wan: true })).toBe(true);
      await until(async () => (await one.catalog.datacenters()).length === 2, 'both datacentres are known');
      expect((await one.members.list({ wan: true })).map((member) => member.Name).sort()).toEqual([
        'one.dc1',
        'two.dc2',
      ]);
      await until(async () => (await one.catalog.nodes({ dc: 'dc2' }))[0][0]?.Node === 'two', 'dc2 can be asked');
      await until(async () => (await one.coordinate.datacenters()).length === 2, 'it has a coordinate', 45_000);
    });

    it('the keyring of gossip', async () => {
      const [ring] = await one.operator.keyringList();
      expect(Object.keys(ring?.Keys ?? {})).toEqual([key]);
      await expect(one.operator.keyringInstall('nonsense')).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'server',
      });
      // Keys of one length only may be on a ring, or of several: the servers decide.
      expect(await one.operator.keyringInstall(other)).toBe(true);
      expect(await one.operator.keyringUse(other)).toBe(true);
      expect(await one.operator.keyringUse(key)).toBe(true);
      expect(await one.operator.keyringRemove(other)).toBe(true);
    });

    it('the streaming backend of a client agent is followed like the other', async () => {
      const service = fresh('streamed');
      const reports: DiscoveryReport[] = [];
      const backend = consul({ address: leaf.address }).create(createContext([]));
      await backend.open();
      const watch = backend.discovery?.watch(service, (report) => reports.push(report));
      await until(() => reports.length === 1, 'the first report');
      const [, meta] = await leaf.health.service(service, { watch: [1, 50] });
      expect(meta.QueryBackend).toBe('streaming');
      for (const port of [1, 2]) {
        await leaf.services.register({ ID: `${service}-${port}`, Name: service, Port: port, Address: '10.0.0.1' });
        await until(() => reports.at(-1)?.instances?.length === port, 'the registration is seen');
      }
      // Registered at the leaf, seen in the catalogue of the server, and removed where it was registered.
      expect((await one.catalog.service(service))[0].map((entry) => entry.Node)).toEqual(['leaf', 'leaf']);
      await leaf.services.deregister(`${service}-1`);
      await until(() => portsOf(reports.at(-1)?.instances).join() === '2', 'the removal is seen');
      await watch?.close();
      await backend.close();
      await leaf.services.deregister(`${service}-2`);
    });

    it('instances of several datacentres, side by side; one that is cut off hides nobody', async () => {
      const service = fresh('everywhere');
      await one.services.register({ ID: `${service}-1`, Name: service, Port: 1, Address: '10.0.0.1' });
      await two.services.register({ ID: `${service}-2`, Name: service, Port: 2, Address: '10.0.0.2' });
      const events: DiscoveryEvent[] = [];
      const backend = consul({
        address: one.address,
        discovery: { datacenters: ['dc1', 'dc2', 'nowhere'] },
        watch: { maxBackoffMs: 500 },
      }).create(createContext(events));
      await backend.open();
      const reports: DiscoveryReport[] = [];
      backend.discovery?.watch(service, (report) => reports.push(report));
      await until(() => portsOf(reports.at(-1)?.instances).join() === '1,2', 'both are seen');
      expect(
        reports
          .at(-1)
          ?.instances?.map((instance) => instance.zone)
          .sort(),
      ).toEqual(['dc1', 'dc2']);
      expect(events).toContainEqual(expect.objectContaining({ type: 'instances.failed', service }));
      expect(reports.every((report) => report.error === undefined)).toBe(true);
      await two.services.deregister(`${service}-2`);
      await until(() => portsOf(reports.at(-1)?.instances).join() === '1', 'a removal in the other is seen');
      await one.services.deregister(`${service}-1`);
      await until(() => reports.at(-1)?.instances?.length === 0, 'both are gone');
      await backend.close();
    });

    it('services of several datacentres are listed together', async () => {
      const service = fresh('only-in-two');
      await two.services.register({ Name: service });
      const backend = consul({ address: one.address, discovery: { datacenters: ['dc1', 'dc2'] } }).create(
        createContext([]),
      );
      await backend.open();
      await until(
        async () => (await backend.discovery?.listServices())?.includes(service),
        'the service of the other datacentre is listed',
      );
      await backend.close();
      await two.services.deregister(service);
    });

    it('CO-40 has a member that left forgotten, and leaves itself', async () => {
      await leaf.agent.leave();
      await until(
        async () => (await one.members.list()).find((member) => member.Name === 'leaf')?.Status === 3,
        'the leaf has left',
      );
      expect(await one.members.forceLeave({ Name: 'leaf' }, { prune: true })).toBe(true);
      await until(async () => (await one.members.list()).length === 1, 'the leaf is forgotten');
    });
  });

  describe('two servers, one of which ends', () => {
    it('CO-80 without a leader: degraded, keys cannot be read, lists and stale reads go on; then all is well', async () => {
      // Each is an answer as soon as its agent is: the leader is elected when both are there.
      const ready = async (one: ConsulClient) => typeof (await one.status.leader()) === 'string';
      const common = { server: true, bootstrap_expect: 2, leave_on_terminate: false };
      const first = await startAgent('pair-1', () => common, { dev: false, ready });
      const retry_join = [`127.0.0.1:${first.ports.serf_lan}`];
      const second = await startAgent('pair-2', () => ({ ...common, retry_join }), { dev: false, ready });
      const one = new ConsulClient(`127.0.0.1:${first.ports.http}`);
      await until(async () => (await one.status.leader()) !== '', 'a leader is elected', 30_000);
      const service = fresh('led');
      await until(() => one.services.register({ Name: service, Port: 1, Address: '10.0.0.1' }), 'it registers');
      const open = async (consistency: 'default' | 'stale') => {
        const watch = { maxBackoffMs: 500, waitMs: 1000 };
        const backend = consul({ address: one.address, watch, discovery: { consistency } }).create(createContext([]));
        await backend.open();
        const reports: DiscoveryReport[] = [];
        backend.discovery?.watch(service, (report) => reports.push(report));
        // The catalogue hears of it a moment after the agent.
        await until(() => reports.at(-1)?.instances?.length === 1, 'the instance is seen', 30_000);
        reports.splice(0, reports.length - 1);
        return { backend, reports };
      };
      const [strict, stale] = [await open('default'), await open('stale')];
      const documents: ConfigReport[] = [];
      strict.backend.config?.watch({ kind: 'prefix', prefix: service }, (report) => documents.push(report));
      await until(() => documents.length === 1, 'the keys are read');
      await second.server.stop();
      await until(() => /have no leader/.test(strict.backend.state.current.error?.message ?? ''), 'it says so', 40_000);
      // What isn't streamed to the agent can't be read; what is goes on, and no list became empty.
      await until(() => documents.at(-1)?.error?.code === 'BACKEND_UNAVAILABLE', 'the keys cannot be read', 40_000);
      // Servers hold a read back in the hope of a leader, often longer than the ten seconds that a client waits.
      await expect(one.kv.get('x', { timeoutMs: 45_000 })).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'server',
      });
      const [entries, meta] = await one.health.service(service, { consistency: 'stale' });
      expect([entries.length, meta.KnownLeader]).toEqual([1, false]);
      const bounded = one.health.service(service, { consistency: 'stale', maxStale: '1s' });
      await expect(bounded).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      const lists = [...strict.reports, ...stale.reports].flatMap((report) => report.instances?.length ?? []);
      expect(lists.filter((length) => length !== 1)).toEqual([]);
      await second.server.restart();
      await until(() => documents.at(-1)?.documents !== undefined, 'the keys are read again', 30_000);
      await until(() => strict.reports.at(-1)?.instances?.length === 1, 'the list is there', 30_000);
      await until(() => strict.backend.state.current.phase === 'ready', 'all is well', 30_000);
      // While there are two: the lead is handed over, and the one that does not lead is taken out.
      await until(async () => (await one.operator.transferLeader()).Success, 'the lead is handed over', 30_000);
      const servers = async () => (await one.operator.configuration()).Servers;
      await until(async () => (await servers()).some((peer) => peer.Leader), 'somebody leads', 30_000);
      const follower = (await servers()).find((peer) => !peer.Leader);
      if (follower === undefined) throw new Error('one of two leads');
      expect(await one.operator.peerDelete(follower)).toBe(true);
      await until(async () => (await servers()).every((peer) => peer.ID !== follower.ID), 'it is out', 30_000);
      await Promise.all([strict.backend.close(), stale.backend.close(), one.close()]);
      await Promise.all([first.server.dispose(), second.server.dispose()]);
    }, 180_000);
  });

  describe('an agent that takes few connections', () => {
    let agent: OwnAgent;
    beforeAll(async () => {
      agent = await startAgent('few', () => ({ limits: { http_max_conns_per_client: 12 } }));
    });
    afterAll(() => agent.server.dispose());

    it('bounded: forty watches live on few connections, and all hear of changes', async () => {
      const client = new ConsulClient({
        address: `127.0.0.1:${agent.ports.http}`,
        maxWatchConnections: 6,
        maxRequestConnections: 3,
      });
      const keys = Array.from({ length: 40 }, () => fresh('few'));
      const heard = new Map<string, string>();
      const failures: string[] = [];
      for (const key of keys) {
        client.watch(
          (options) => client.kv.get(key, options),
          ({ value, error }) => {
            if (error !== undefined) failures.push(error.message);
            else heard.set(key, value?.Value.toString() ?? 'none');
          },
        );
      }
      await until(() => heard.size === 40, 'all have their first value at once', 5000);
      for (const key of keys) await client.kv.set(key, 'x');
      await until(() => [...heard.values()].every((value) => value === 'x'), 'all hear of the change', 30_000);
      expect(failures).toEqual([]);
      await client.close();
    });

    it('unbounded it would be refused, and the watches live on', async () => {
      const client = new ConsulClient({ address: `127.0.0.1:${agent.ports.http}`, maxWatchConnections: 40 });
      const key = fresh('few');
      let latest: string | undefined;
      let errors = 0;
      const watches = Array.from({ length: 30 }, () =>
        client.watch(
          (options) => client.kv.get(key, options),
          ({ value, error }) => {
            if (error === undefined) latest = value?.Value.toString();
            else errors += 1;
          },
          { maxBackoffMs: 500 },
        ),
      );
      await until(() => errors > 5, 'the agent refuses connections');
      await Promise.all(watches.slice(4).map((watch) => watch.close()));
      await until(async () => {
        await client.kv.set(key, 'again');
        return latest === 'again';
      }, 'those that are left hear again');
      await client.close();
    });
  });
});
