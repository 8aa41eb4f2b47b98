import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConsulClient, roundTripMs } from '../../../lib/backends/consul/index.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh, until } from './support/wait.js';

withServer('consul', { variant: 'dev' }, (server) => {
  let consul: ConsulClient;
  let node: string;
  beforeAll(async () => {
    consul = new ConsulClient(server.url);
    node = (await consul.agent.self()).Config.NodeName;
  });
  afterAll(() => consul.close());

  describe('agent', () => {
    it('CO-27 tells of itself', async () => {
      const self = await consul.agent.self();
      expect(self.Config.Version).toMatch(/^\d+\.\d+/);
      expect(self.Member.Name).toBe(node);
      expect((await consul.agent.version()).HumanVersion).toBe(self.Config.Version);
      expect(await consul.agent.host()).toHaveProperty('CPU');
    });

    it('gives metrics', async () => {
      expect((await consul.agent.metrics()).Gauges.length).toBeGreaterThan(0);
      expect(typeof (await consul.agent.prometheusMetrics())).toBe('string');
    });

    it('CO-37 CO-38 CO-40 members: lists, joins, has one leave', async () => {
      expect((await consul.members.list()).map((member) => member.Name)).toContain(node);
      expect((await consul.members.list({ wan: true }))[0]?.Name).toContain(node);
      await expect(consul.members.join('127.0.0.1:1')).rejects.toMatchObject({ name: 'ConsulError', kind: 'server' });
      await expect(consul.members.forceLeave({ Name: 'nobody' })).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'server',
      });
    });
  });

  describe('checks of the agent', () => {
    it('CO-31 to CO-36 CO-98 registers, marks with notes, lists, removes', async () => {
      const id = fresh('check');
      const check = { ID: id, Name: 'Memory utilization', TTL: '15s', Notes: 'by a test' };
      expect(await consul.checks.register(check)).toBe(true);
      const states = async () => {
        const found = (await consul.checks.list())[id];
        return [found?.Status, found?.Output];
      };
      expect(await states()).toEqual(['critical', '']);
      expect(await consul.checks.passing(check, { note: 'Back to normal' })).toBe(true);
      expect(await states()).toEqual(['passing', 'Back to normal']);
      expect(await consul.checks.warning(id, { note: 'Warning & more?' })).toBe(true);
      expect(await states()).toEqual(['warning', 'Warning & more?']);
      expect(await consul.checks.critical({ CheckID: id }, { note: 'Fatal' })).toBe(true);
      expect(await states()).toEqual(['critical', 'Fatal']);
      expect(await consul.checks.mark(check, 'passing', { note: 'again' })).toBe(true);
      expect(await states()).toEqual(['passing', 'again']);
      expect(await consul.checks.deregister(check)).toBe(true);
      expect((await consul.checks.list())[id]).toBeUndefined();
      await expect(consul.checks.passing(id)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
      await expect(consul.checks.deregister(id)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
    });

    it('a TTL together with an interval is refused by the server', async () => {
      const check = { ID: fresh('check'), Name: 'both', TTL: 15_000, Interval: '10s' };
      await expect(consul.checks.register(check)).rejects.toMatchObject({ name: 'ConsulError', kind: 'request' });
    });
  });

  describe('services of the agent', () => {
    it('CO-04 CO-30 CO-41 to CO-45 registers, lists, keeps in maintenance, removes', async () => {
      const id = fresh('redis');
      const service = { ID: id, Name: 'redis', Tags: ['master', 'v1'], Port: 8000, Meta: { a: 'b' } };
      expect(await consul.services.register({ ...service, Check: { TTL: 30_000, Status: 'passing' } })).toBe(true);
      expect((await consul.services.list())[id]).toMatchObject({
        Service: 'redis',
        Tags: ['master', 'v1'],
        Port: 8000,
      });
      expect((await consul.services.list({ filter: `ID == "${id}"` }))[id]?.Meta).toEqual({ a: 'b' });
      expect(await consul.services.info(service)).toMatchObject({ ID: id });
      expect((await consul.services.health(id)).status).toBe('passing');
      expect(await consul.services.disable(service, { reason: 'migrating' })).toBe(true);
      const health = await consul.services.health({ ServiceID: id });
      expect(health.status).toBe('critical');
      expect(health.value.Checks.find((one) => one.CheckID.startsWith('_service_maintenance'))?.Notes).toBe(
        'migrating',
      );
      expect((await consul.services.healthByName('redis')).status).toBe('critical');
      expect(await consul.services.enable(service, { reason: 'migration done' })).toBe(true);
      expect((await consul.services.health(id)).status).toBe('passing');
      expect(await consul.services.deregister(service)).toBe(true);
      await expect(consul.services.deregister(id)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
      await expect(consul.services.info(id)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
      await expect(consul.services.health(id)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
    });

    it('several checks, replaced when asked', async () => {
      const id = fresh('checked');
      await consul.services.register({ ID: id, Name: id, Checks: [{ TTL: '30s' }, { TTL: 20_000 }] });
      const checksOf = async () => Object.keys(await consul.checks.list({ filter: `ServiceID == "${id}"` }));
      expect(await checksOf()).toEqual([`service:${id}:1`, `service:${id}:2`]);
      await consul.services.register({ ID: id, Name: id, Check: { TTL: '30s' } }, { replaceExistingChecks: true });
      expect(await checksOf()).toEqual([`service:${id}`]);
      await consul.services.deregister(id);
    });
  });

  describe('catalogue', () => {
    it('CO-46 CO-47 CO-49 to CO-53 registers a node with service and check, reads it, removes it', async () => {
      const [external, service] = [fresh('foobar'), fresh('redis')];
      const entry = {
        Node: external,
        Address: '192.168.10.10',
        NodeMeta: { external: 'yes' },
        Service: { ID: 'redis1', Service: service, Tags: ['master', 'v1'], Address: '127.0.0.1', Port: 8000 },
        Check: {
          Node: external,
          CheckID: 'service:redis1',
          Name: 'Redis health check',
          Notes: 'Script based health check',
          Status: 'passing' as const,
          ServiceID: 'redis1',
          Definition: { TCP: '127.0.0.1:8000', Interval: 10_000, Timeout: '1s' },
        },
      };
      expect(await consul.catalog.register(entry)).toBe(true);
      const [nodes, meta] = await consul.catalog.nodes({ near: '_agent' });
      expect(nodes.map((one) => one.Node)).toContain(external);
      expect(nodes.find((one) => one.Node === external)?.Address).toBe('192.168.10.10');
      expect(Number(meta.Index)).toBeGreaterThan(0);
      expect((await consul.catalog.nodes({ nodeMeta: { external: 'yes' } }))[0].length).toBeGreaterThan(0);
      expect((await consul.catalog.nodes({ filter: `Node == "${external}"` }))[0]).toHaveLength(1);
      const [found, found_] = await consul.catalog.node(external, { watch: [1, '30s'] });
      expect(found?.Services['redis1']).toMatchObject({ Service: service, Port: 8000 });
      expect(Number(found_.Index)).toBeGreaterThan(1);
      // Servers gather the tags in no order.
      const [services] = await consul.catalog.services({ consistency: 'stale' });
      expect([...(services[service] ?? [])].sort()).toEqual(['master', 'v1']);
      expect((await consul.catalog.service(service))[0]).toMatchObject([{ ServiceID: 'redis1', ServicePort: 8000 }]);
      expect((await consul.catalog.service(service, { tag: 'master' }))[0]).toHaveLength(1);
      expect((await consul.catalog.service(service, { tag: ['master', 'prod'] }))[0]).toHaveLength(0);
      expect((await consul.health.checks(service))[0]).toMatchObject([{ Notes: 'Script based health check' }]);
      expect(await consul.catalog.deregister({ Node: external, ServiceID: 'redis1' })).toBe(true);
      expect((await consul.catalog.service(service))[0]).toEqual([]);
      expect(await consul.catalog.deregister({ Node: external, Address: '192.168.10.10' })).toBe(true);
      expect((await consul.catalog.node(external))[0]).toBeUndefined();
    });

    it('CO-48 lists the datacentres', async () => {
      expect(await consul.catalog.datacenters()).toEqual(['dc1']);
    });
  });

  describe('health', () => {
    it('CO-59 to CO-61 of a node, a service, in a state', async () => {
      const id = fresh('healthy');
      await consul.services.register({ ID: id, Name: id, Tags: ['x'], Check: { TTL: '30s', Status: 'warning' } });
      expect((await consul.health.node({ Node: node }))[0].map((one) => one.CheckID)).toContain('serfHealth');
      await until(async () => (await consul.health.checks(id))[0].length === 1, 'the check is in the catalogue');
      expect((await consul.health.checks({ Name: id }, { near: '_agent' }))[0]).toMatchObject([{ Status: 'warning' }]);
      const [warnings] = await consul.health.state('warning', { near: '_agent' });
      expect(warnings.map((one) => one.ServiceID)).toContain(id);
      expect((await consul.health.state('any'))[0].length).toBeGreaterThan(warnings.length);
      const [entries] = await consul.health.service(id, { tag: 'x' });
      expect(entries).toMatchObject([{ Node: { Node: node }, Service: { ID: id } }]);
      expect((await consul.health.service(id, { passing: true }))[0]).toEqual([]);
      expect((await consul.health.service(id, { filter: 'Checks.Status == "warning"' }))[0]).toHaveLength(1);
      expect((await consul.health.connect(id))[0]).toEqual([]);
      await consul.services.deregister(id);
    });
  });

  describe('events', () => {
    it('CO-54 to CO-58 CO-99 CO-105 fires with payload bytes and filters, and lists', async () => {
      const [name, service] = [fresh('deploy'), fresh('deployed')];
      await consul.services.register({ Name: service, Tags: ['blue'] });
      const payload = Uint8Array.from([0, 255, 10]);
      const [, meta] = await consul.event.list();
      const elsewhere = await consul.event.fire(name, 'not for us', { node: 'nobody' });
      const filters = { node: new RegExp(`^${node.toUpperCase()}$`, 'i'), service, tag: /^bl/ };
      const fired = await consul.event.fire(name, payload, filters);
      expect(fired).toMatchObject({ Name: name, NodeFilter: `(?i)^${node.toUpperCase()}$`, ServiceFilter: service });
      expect(fired.TagFilter).toBe('^bl');
      expect(fired.Payload).toEqual(Buffer.from(payload));
      await until(async () => (await consul.event.list(name))[0].length > 0, 'the event has come');
      const [events, next] = await consul.event.list(name, { watch: [meta, '5s'] });
      expect(events).toMatchObject([{ ID: fired.ID, Payload: Buffer.from(payload) }]);
      expect(events.map((event) => event.ID)).not.toContain(elsewhere.ID);
      expect(next.Index).toMatch(/^\d{10,}$/);
      expect((await consul.event.fire(name)).Payload).toBeUndefined();
      const unknown = new RegExp('x', 'v');
      await expect(consul.event.fire(name, 'x', { node: unknown })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
      await consul.services.deregister(service);
    });
  });

  describe('prepared queries', () => {
    it('CO-81 to CO-87 creates, reads, explains, executes, updates, removes, lists', async () => {
      const [name, service] = [fresh('query'), fresh('queried')];
      await consul.services.register({ Name: service, Port: 80, Check: { TTL: '30s', Status: 'passing' } });
      const definition = { Name: name, Service: { Service: service, OnlyPassing: true }, DNS: { TTL: 10_000 } };
      const id = await consul.query.create(definition);
      expect((await consul.query.read({ ID: id }))[0]).toMatchObject({ Name: name, DNS: { TTL: '10000ms' } });
      expect((await consul.query.list())[0].map((query) => query.ID)).toContain(id);
      expect((await consul.query.explain({ Name: name }))[0].Query.ID).toBe(id);
      await until(
        async () => (await consul.query.execute(name))[0].Nodes.length === 1,
        'the service is in the catalogue',
      );
      const [result] = await consul.query.execute({ ID: id }, { near: '_agent', limit: 1 });
      expect(result).toMatchObject({ Service: service, Datacenter: 'dc1', Failovers: 0 });
      const update = { ID: id, Name: name, Service: { Service: 'nobody' } };
      expect(await consul.query.update(update)).toBe(true);
      expect((await consul.query.execute(name))[0].Nodes).toEqual([]);
      expect(await consul.query.delete(update)).toBe(true);
      await expect(consul.query.read(id)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
      await expect(consul.query.execute(name)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
      await consul.services.deregister(service);
    });
  });

  describe('coordinates, operator, status', () => {
    it('CO-77 CO-78 coordinates', async () => {
      const [first] = await consul.coordinate.datacenters();
      expect(first).toMatchObject({ Datacenter: 'dc1' });
      await until(
        async () => (await consul.coordinate.nodes())[0].length > 0,
        'agents send coordinates seldom',
        45_000,
      );
      const [nodes, meta] = await consul.coordinate.nodes();
      expect(meta.Index).not.toBe('0');
      const [own] = (await consul.coordinate.node(node))[0];
      if (own === undefined || nodes[0] === undefined) throw new Error('both were read');
      expect(own.Coord.Vec).toHaveLength(8);
      expect(roundTripMs(own.Coord, nodes[0].Coord)).toBeGreaterThanOrEqual(0);
      await expect(consul.coordinate.node('nobody')).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
    });

    it('CO-79 CO-80 the raft configuration, and a peer that is not there', async () => {
      expect((await consul.operator.configuration()).Servers).toMatchObject([
        { Node: node, Leader: true, Voter: true },
      ]);
      await expect(consul.operator.peerDelete('10.11.12.13:8300')).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'server',
      });
      await expect(consul.operator.peerDelete({ ID: 'nobody' })).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'server',
      });
      // A cluster of one has nobody to hand over to.
      await expect(consul.operator.transferLeader()).rejects.toMatchObject({ name: 'ConsulError', kind: 'server' });
    });

    it('autopilot, and a keyring that is not there', async () => {
      const before = await consul.operator.autopilotConfiguration();
      const changed = { ...before, MaxTrailingLogs: 251 };
      expect(await consul.operator.setAutopilotConfiguration(changed, { index: 1 })).toBe(false);
      const index = before.ModifyIndex ?? 0;
      expect(await consul.operator.setAutopilotConfiguration(changed, { index })).toBe(true);
      expect((await consul.operator.autopilotConfiguration()).MaxTrailingLogs).toBe(251);
      expect((await consul.operator.autopilotHealth()).Healthy).toBe(true);
      expect(await consul.operator.autopilotState()).toHaveProperty('Servers');
      await expect(consul.operator.keyringList()).rejects.toMatchObject({ name: 'ConsulError', kind: 'server' });
    });

    it('CO-94 CO-95 the leader and the peers', async () => {
      const leader = await consul.status.leader();
      expect(leader).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(await consul.status.peers()).toEqual([leader]);
    });
  });

  it('servers without ACLs say so', async () => {
    await expect(consul.acl.tokens.list()).rejects.toMatchObject({ name: 'ConsulError', kind: 'acl-disabled' });
    await expect(consul.acl.bootstrap()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

withServer('consul', { variant: 'dev', private: true }, (server) => {
  it('CO-28 CO-29 the whole node in maintenance', async () => {
    const consul = new ConsulClient(server.url);
    expect(await consul.agent.disable({ reason: 'migrating' })).toBe(true);
    expect((await consul.checks.list())['_node_maintenance']).toMatchObject({ Status: 'critical', Notes: 'migrating' });
    expect(await consul.agent.enable({ reason: 'migration done' })).toBe(true);
    expect((await consul.checks.list())['_node_maintenance']).toBeUndefined();
    await consul.close();
  });

  it('reads its configuration again, and in dev mode forgets what was registered', async () => {
    const consul = new ConsulClient(server.url);
    const id = fresh('reloaded');
    await consul.services.register({ ID: id, Name: id });
    expect(await consul.agent.reload()).toBe(true);
    expect((await consul.services.list())[id]).toBeUndefined();
    await consul.close();
  });

  it('a snapshot brings back what was there', async () => {
    const consul = new ConsulClient(server.url);
    const key = fresh('saved');
    await consul.kv.set(key, 'before');
    const [archive, meta] = await consul.snapshot.save();
    expect(archive.subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]));
    expect(meta.Index).not.toBe('0');
    await consul.kv.set(key, 'after');
    expect(await consul.snapshot.restore(archive)).toBe(true);
    await until(async () => (await consul.kv.get(key))[0]?.Value.toString() === 'before', 'the snapshot is in force');
    await consul.close();
  });
});
