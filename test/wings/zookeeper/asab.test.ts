import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import axios from 'axios';
import { describe, expect, it } from 'vitest';
import { Agent, request as undiciRequest } from 'undici';
import {
  asab,
  asabTools,
  curator,
  discoverable,
  NotDiscoveredError,
  zookeeper,
  type ZooKeeperClient,
} from '../../../lib/backends/zookeeper/index.js';
import { DiscoveryModule } from '../../../lib/index.js';
import { createRegistration } from '../../../lib/model/index.js';
import { freshName, freshPort } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { Opened, toolsOf, until, watching } from './support.js';

/** Puts a record there as an ASAB application would. */
async function advertise(client: ZooKeeperClient, path: string, record: unknown, app = 'Demo'): Promise<string> {
  const data = typeof record === 'string' ? record : JSON.stringify(record);
  return client.create(`/${path}/run/${app}.`, Buffer.from(data), { mode: 'ephemeral-sequential' });
}

/** The vectors of the protocol page. */
const RECORDS = {
  a: {
    host: 'h1',
    instance_id: 'a-1',
    service_id: 'a',
    node_id: 'n1',
    web: [
      ['0.0.0.0', 1],
      ['::', 1, 0, 0],
    ],
  },
  b: { host: 'h2', service_id: 'a', node_id: 'n2', web: [['0.0.0.0', 2]] },
  c: {
    host: 'h3',
    instance_id: 'c-1',
    service_id: 'c',
    discovery: { tenant: ['t1', 't2', null] },
    web: [['0.0.0.0', 3]],
  },
  d: { host: 'h4', service_id: 'd' },
  e: { host: 'h5', service_id: 'a', web: [['10.1.1.1', 5]] },
  f: { host: 'h6', service_id: null, instance_id: null, web: [['0.0.0.0', 6]] },
};

/** A server that answers with what it was asked, and its port. */
async function answering(opened: Opened, name: string): Promise<number> {
  const server = createServer((request, response) => {
    response.setHeader('connection', 'close');
    response.end(
      JSON.stringify({
        name,
        url: request.url,
        host: request.headers.host,
        authorization: request.headers.authorization,
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.add(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

withServer('zookeeper', {}, (server) => {
  const opened = new Opened();

  describe('the ASAB layout: advertising', () => {
    it('writes the record at <base>/run/<App>.<ten digits>, ephemeral, with all its fields', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'nsd-manifest-'));
      opened.add(() => rm(folder, { recursive: true }));
      const manifest = join(folder, 'MANIFEST.json');
      await writeFile(
        manifest,
        JSON.stringify({
          version: 'v23.47-alpha',
          created_at: '2023-11-23T11:08:22.454248Z',
          CI_COMMIT_TAG: 'v23',
          CI_JOB_ID: '1',
        }),
      );
      const path = freshName('asab');
      const { backend } = await opened.asab(server.url, {
        path,
        appClass: 'MyApp',
        manifest,
        nodeId: 'node-1',
        serviceId: 'my-app',
        instanceId: 'my-app-1',
        siteId: 'site-1',
        listen: ['0.0.0.0', '::'],
        discovery: { custom_id: ['id1'] },
      });
      await backend.registry.register(
        createRegistration({ service: 'my-app', host: 'server-name-1', port: 8090, metadata: { color: 'blue' } }),
      ).registered;
      const observer = await opened.client(server.url);
      const names = (await observer.getChildren(`/${path}/run`)) ?? [];
      expect(names).toHaveLength(1);
      expect(names[0]).toMatch(/^MyApp\.\d{10}$/);
      const found = await observer.getData(`/${path}/run/${names[0] ?? ''}`);
      expect(found?.stat.owner).toBe(backend.client.sessionId);
      const record = JSON.parse(found?.data.toString() ?? '') as Record<string, unknown>;
      expect(record).toMatchObject({
        host: 'server-name-1',
        appclass: 'MyApp',
        process_id: process.pid,
        instance_id: 'my-app-1',
        node_id: 'node-1',
        service_id: 'my-app',
        site_id: 'site-1',
        version: 'v23.47-alpha',
        created_at: '2023-11-23T11:08:22.454248Z',
        CI_COMMIT_TAG: 'v23',
        CI_JOB_ID: '1',
        discovery: { custom_id: ['id1'] },
        web: [
          ['0.0.0.0', 8090],
          ['::', 8090, 0, 0],
        ],
      });
      expect(record['launch_time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    });

    it('takes ids from the environment, and the host from ASAB_HOSTNAME or the machine', async () => {
      const path = freshName('env');
      const before = { ...process.env };
      Object.assign(process.env, { NODE_ID: 'node-7', SERVICE_ID: 'env-app', INSTANCE_ID: 'env-app-1' });
      let definition;
      try {
        definition = { servers: server.url, layout: asab({ path, manifest: false }) };
        const { backend } = await opened.backend(definition);
        await backend.registry.register(createRegistration({ service: 'x', host: '127.0.0.1', port: 80 })).registered;
        const [record] = await toolsOf({ backend } as never).discovery.getAdvertisedInstances();
        expect(record).toMatchObject({
          host: hostname(),
          node_id: 'node-7',
          service_id: 'env-app',
          instance_id: 'env-app-1',
          web: [['0.0.0.0', 80]],
        });
        expect(record?.['ephemeral_id']).toMatch(/^x\.\d{10}$/);
      } finally {
        for (const name of ['NODE_ID', 'SERVICE_ID', 'INSTANCE_ID']) delete process.env[name];
        Object.assign(process.env, before);
      }
    });

    it('replaces the record of the process before, and of nobody else', async () => {
      const path = freshName('restart');
      const old = await opened.client(server.url);
      const port = freshPort();
      const record = {
        host: '127.0.0.1',
        appclass: 'S',
        service_id: 's',
        instance_id: 's-1',
        web: [['0.0.0.0', port]],
      };
      const left = await advertise(old, path, { ...record, launch_time: '2020-01-01T00:00:00.000000Z' }, 'S');
      const younger = await advertise(old, path, { ...record, launch_time: '2999-01-01T00:00:00.000000Z' }, 'S');
      const otherPort = await advertise(
        old,
        path,
        { ...record, web: [['0.0.0.0', port + 1]], launch_time: '2020-01-01T00:00:00.000000Z' },
        'S',
      );
      const test = await opened.asab(server.url, { path, appClass: 'S', instanceId: 's-1' });
      await test.backend.registry.register(createRegistration({ service: 's', host: '127.0.0.1', port })).registered;
      await until(async () => (await old.exists(left)) === undefined, 'the old record is gone');
      expect(await old.exists(younger)).toBeDefined();
      expect(await old.exists(otherPort)).toBeDefined();
    });

    it('a creation whose answer was lost leaves no second record', async () => {
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      const path = freshName('lost-answer');
      const test = await opened.asab(proxy.url, { path }, { sessionTimeoutMs: 4000 });
      const observer = await opened.client(server.url);
      await observer.ensure(`/${path}/run`);
      await until(() => test.backend.client.state.current.phase === 'connected', 'it connects');
      // Requests arrive, answers don't.
      proxy.blackhole('to-client');
      const lease = test.backend.registry.register(createRegistration({ service: 's', host: '127.0.0.1', port: 80 }));
      await until(async () => (await observer.getChildren(`/${path}/run`))?.length === 1, 'it was created');
      proxy.reset();
      await proxy.heal();
      await lease.registered;
      await delay(300);
      expect(await observer.getChildren(`/${path}/run`)).toHaveLength(1);
      expect(await lease.revoke()).toBe('removed');
      expect(await observer.getChildren(`/${path}/run`)).toHaveLength(0);
    });

    it('changes ids at run time, in the same node; refuses what is no list of texts', async () => {
      const path = freshName('update');
      const test = await opened.asab(server.url, { path });
      const { discovery } = toolsOf(test);
      const port = freshPort();
      await test.backend.registry.register(createRegistration({ service: 's', host: '127.0.0.1', port })).registered;
      const [before] = await discovery.getAdvertisedInstances();
      const reader = toolsOf(await opened.asab(server.url, { path })).discovery;
      expect(await reader.locate({ custom_id: 'id2' })).toEqual(new Set());
      await discovery.updateDiscovery({ custom_id: ['id1', 'id2', 'id3'] });
      await until(async () => (await reader.locate({ custom_id: 'id2' })).size === 1, 'the id is found');
      await discovery.updateDiscovery({ other: ['x'] });
      await until(async () => (await reader.locate({ other: 'x' })).size === 1, 'types are merged');
      expect((await reader.locate({ custom_id: 'id1' })).size).toBe(1);
      await discovery.updateDiscovery({ custom_id: ['id9'] });
      await until(async () => (await reader.locate({ custom_id: 'id1' })).size === 0, 'a list replaces a list');
      const [after] = await reader.getAdvertisedInstances();
      expect(after?.['ephemeral_id']).toBe(before?.['ephemeral_id']);
      for (const bad of [
        { a: 'b' },
        { a: [1] },
        ['a'],
        null,
        { a: [''] },
        JSON.parse('{"__proto__":["x"]}'),
        { 'a.b': [] },
      ]) {
        await expect(discovery.updateDiscovery(bad as never)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
      }
    });

    it('while it is out of service ASAB’s own clients see no web, and ours see the status', async () => {
      const path = freshName('status');
      const test = await opened.asab(server.url, { path });
      const lease = test.backend.registry.register(createRegistration({ service: 's', host: '127.0.0.1', port: 80 }));
      await lease.registered;
      await lease.setStatus('OUT_OF_SERVICE');
      const { discovery } = toolsOf(test);
      await until(async () => (await discovery.getAdvertisedInstances())[0]?.['web'] === undefined, 'web is gone');
      expect(await discovery.locate({ service_id: 's' })).toEqual(new Set());
      const reader = watching(test, 's');
      await until(() => reader.reports.at(-1)?.instances?.[0]?.status === 'OUT_OF_SERVICE', 'ours know');
      expect(test.events.filter((event) => event.type === 'record.skipped')).toEqual([]);
    });
  });

  describe('the ASAB layout: discovering', () => {
    it('locates by every id, as the vectors say', async () => {
      const path = freshName('vectors');
      const app = await opened.client(server.url);
      for (const record of Object.values(RECORDS)) await advertise(app, path, record);
      const test = await opened.asab(server.url, { path });
      const { discovery } = toolsOf(test);
      expect(await discovery.locate({ service_id: 'a' })).toEqual(new Set(['http://h1:1', 'http://h2:2']));
      expect(await discovery.locate({ instance_id: 'c-1' })).toEqual(new Set(['http://h3:3']));
      expect(await discovery.locate('c-1')).toEqual(new Set(['http://h3:3']));
      expect(await discovery.locate({ tenant: 't2' })).toEqual(new Set(['http://h3:3']));
      expect(await discovery.locate({ service_id: 'a', tenant: 't1' })).toEqual(
        new Set(['http://h1:1', 'http://h2:2', 'http://h3:3']),
      );
      expect(await discovery.locate({ node_id: 'n2' })).toEqual(new Set(['http://h2:2']));
      expect(await discovery.locate({ service_id: 'nobody' })).toEqual(new Set());
      expect(await discovery.locate({ service_id: '__proto__', constructor: 'x' })).toEqual(new Set());
      expect(test.log.of('warn')).toEqual([]);
      expect(await discovery.locate({})).toEqual(new Set());
      expect(test.log.of('warn')[0]).toMatch(/needs an id/);
      const all = await discovery.discover();
      expect([...(all.get('service_id')?.keys() ?? [])].sort()).toEqual(['a', 'c']);
      expect(all.get('instance_id')?.get('a-1')).toEqual(
        new Set([
          { host: 'h1', port: 1, family: 4 },
          { host: 'h1', port: 1, family: 6 },
        ]),
      );
      all.get('service_id')?.clear();
      expect((await discovery.discover()).get('service_id')?.size).toBe(2);
      const raw = await discovery.getAdvertisedInstances();
      expect(raw).toHaveLength(6);
      expect(raw.every((one) => /^Demo\.\d{10}$/.test(String(one['ephemeral_id'])))).toBe(true);
    });

    it('makes the run path, and warns once when nothing is advertised', async () => {
      const path = freshName('nothing');
      const test = await opened.asab(server.url, { path: `${path}/below` });
      const { discovery } = toolsOf(test);
      expect(await discovery.locate({ service_id: 'a' })).toEqual(new Set());
      expect(await discovery.locate({ service_id: 'b' })).toEqual(new Set());
      expect(test.log.of('warn')).toEqual([expect.stringMatching(/nothing is advertised at all/)]);
      expect(await test.backend.client.exists(`/${path}/below/run`)).toBeDefined();
      const all = await discovery.discover();
      expect([...all.keys()].sort()).toEqual(['instance_id', 'service_id']);
    });

    it('bad records are skipped with one counted warning each, and everything else is found', async () => {
      const path = freshName('bad');
      const app = await opened.client(server.url);
      const bad: readonly unknown[] = [
        'no json',
        '"a text"',
        '[1,2]',
        '',
        { service_id: 'no-host', web: [['0.0.0.0', 1]] },
        { host: 'no-web', service_id: 'no-web' },
        { host: 'bad-web', service_id: 'x', web: 'nonsense' },
        { host: 'bad-entry', service_id: 'x', web: [5] },
        { host: 'bad-port', service_id: 'x', web: [['0.0.0.0', '80']] },
        { host: 'bad-port', service_id: 'x', web: [['0.0.0.0', 700000]] },
        { host: 'http://evil/', service_id: 'x', web: [['0.0.0.0', 1]] },
        { host: { a: 1 }, service_id: 'x', web: [['0.0.0.0', 1]] },
        `{"host":"${'h'.repeat(300_000)}"}`,
        Buffer.from([0xff, 0xfe, 0x00]).toString('latin1'),
      ];
      for (const record of bad) await advertise(app, path, record);
      await app.create(
        `/${path}/run/odd name é`,
        Buffer.from('{"host":"h9","service_id":"good","web":[["0.0.0.0",9]]}'),
      );
      await app.create(
        `/${path}/run/__proto__`,
        Buffer.from('{"host":"h8","service_id":"good","web":[["0.0.0.0",8]]}'),
      );
      await advertise(
        app,
        path,
        '{"host":"h7","service_id":"good","discovery":{"__proto__":["x"],"t":"no list","u":[{}]},"web":[["0.0.0.0",7]]}',
      );
      const test = await opened.asab(server.url, { path });
      const { discovery } = toolsOf(test);
      expect(await discovery.locate({ service_id: 'good' })).toEqual(
        new Set(['http://h9:9', 'http://h8:8', 'http://h7:7']),
      );
      const skipped = (): number => test.events.filter((event) => event.type === 'record.skipped').length;
      expect(skipped()).toBe(bad.length);
      await discovery.refresh();
      expect(skipped()).toBe(bad.length);
      expect((await discovery.discover()).has('__proto__')).toBe(false);
    });

    it('one that becomes good is found, one that becomes bad is lost, whatever vanishes meanwhile', async () => {
      const path = freshName('turns');
      const app = await opened.client(server.url);
      const node = await advertise(app, path, 'bad');
      const { discovery } = toolsOf(await opened.asab(server.url, { path }));
      expect(await discovery.locate({ service_id: 'a' })).toEqual(new Set());
      await app.setData(node, Buffer.from(JSON.stringify(RECORDS.a)));
      await until(async () => (await discovery.locate({ service_id: 'a' })).size === 1, 'it is found');
      await app.setData(node, Buffer.from('{'));
      await until(async () => (await discovery.locate({ service_id: 'a' })).size === 0, 'it is lost');
      // Nodes that come and go while they are listed and read.
      const churn = Array.from({ length: 200 }, async (_, index) => {
        const one = await advertise(app, path, { ...RECORDS.a, host: `churn-${index}` });
        await app.remove(one);
      });
      await Promise.all(churn);
      await advertise(app, path, RECORDS.c);
      await until(async () => (await discovery.locate({ service_id: 'c' })).size === 1, 'what stays is found');
      await until(async () => (await discovery.locate({ service_id: 'a' })).size === 0, 'what went is gone');
    });

    it('the first question waits for the first scan, and no longer than it may', async () => {
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      await proxy.drop();
      const path = freshName('ready');
      const patient = toolsOf(await opened.asab(proxy.url, { path }));
      const hasty = toolsOf(await opened.asab(proxy.url, { path, readyTimeoutMs: 200 }));
      const answer = patient.discovery.locate({ service_id: 'a' });
      await expect(hasty.discovery.locate({ service_id: 'a' })).rejects.toMatchObject({ code: 'TIMEOUT' });
      await advertise(await opened.client(server.url), path, RECORDS.a);
      await proxy.heal();
      expect(await answer).toEqual(new Set(['http://h1:1']));
    });

    it('everything is read again from time to time, though nobody said that it changed', async () => {
      const path = freshName('rescan');
      const app = await opened.client(server.url);
      await advertise(app, path, RECORDS.a);
      await advertise(app, path, RECORDS.c);
      const { discovery } = toolsOf(await opened.asab(server.url, { path }, { rescanMs: 150 }));
      await discovery.ready();
      expect(discovery.stats).toEqual({ records: 2, reads: 2 });
      await until(() => discovery.stats.reads >= 6, 'they are read again and again');
      expect(await discovery.locate('c-1')).toEqual(new Set(['http://h3:3']));
    });

    it('closing ends the waiting for the first scan', async () => {
      const test = await opened.asab('127.0.0.1:1', { path: freshName('never') });
      const answer = toolsOf(test).discovery.locate({ service_id: 'a' });
      const rejection = expect(answer).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      await test.close();
      await rejection;
      await expect(toolsOf(test).discovery.locate('x')).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    });

    it('keeps what it knows through an outage', async () => {
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      const path = freshName('outage');
      await advertise(await opened.client(server.url), path, RECORDS.a);
      const { discovery } = toolsOf(await opened.asab(proxy.url, { path }));
      expect((await discovery.locate({ service_id: 'a' })).size).toBe(1);
      await proxy.drop();
      await expect(discovery.refresh()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect((await discovery.locate({ service_id: 'a' })).size).toBe(1);
    });

    it('a change costs one read of the one node, and nothing is read while nobody asks', async () => {
      const path = freshName('cost');
      const app = await opened.client(server.url);
      const nodes = await Promise.all(
        Array.from({ length: 50 }, (_, index) => advertise(app, path, { ...RECORDS.a, host: `h${index}` })),
      );
      const test = await opened.asab(server.url, { path });
      await until(() => test.backend.client.state.current.phase === 'connected', 'it connects');
      const reads = (): number => toolsOf(test).discovery.stats.reads;
      expect(reads()).toBe(0);
      const reader = watching(test, 'a');
      await until(() => reader.ports().length === 50, 'all are seen');
      expect(reads()).toBe(50);
      await app.setData(nodes[7] ?? '', Buffer.from(JSON.stringify({ ...RECORDS.a, host: 'changed' })));
      await until(() => reader.reports.at(-1)?.instances?.some((one) => one.host === 'changed') === true, 'it is seen');
      expect(reads()).toBe(51);
      await advertise(app, path, { ...RECORDS.a, host: 'new' });
      await until(() => reader.ports().length === 51, 'the new one is seen');
      expect(reads()).toBe(52);
      await app.remove(nodes[3] ?? '');
      await until(() => reader.ports().length === 50, 'the removal is seen');
    });
  });

  describe('.asab addresses', () => {
    it('are called by any axios instance: host and port from the record, the next one when one is dead', async () => {
      const path = freshName('http');
      const app = await opened.client(server.url);
      const port = await answering(opened, 'one');
      const dead = freshPort();
      await advertise(app, path, { host: '127.0.0.1', service_id: 'my.dotted_app', web: [['0.0.0.0', port]] });
      await advertise(app, path, { host: '127.0.0.1', service_id: 'my.dotted_app', web: [['0.0.0.0', dead]] });
      await advertise(app, path, { host: 'no-such-host.invalid', service_id: 'my.dotted_app', web: [['0.0.0.0', 1]] });
      const { backend } = await opened.asab(server.url, { path });
      const client = discoverable(axios.create({ baseURL: 'http://my.dotted_app.service_id.asab:99' }), backend);
      for (let round = 0; round < 6; round += 1) {
        const { data } = await client.get<{ name: string; host: string; url: string }>('/x?y=1');
        expect(data).toMatchObject({ name: 'one', url: '/x?y=1', host: 'my.dotted_app.service_id.asab:99' });
      }
      const plain = await client.get<{ name: string }>(`http://127.0.0.1:${port}/direct`);
      expect(plain.data).toMatchObject({ url: '/direct', host: `127.0.0.1:${port}` });
    });

    it('tell what is wrong: malformed, unknown, not to be resolved', async () => {
      const path = freshName('wrong');
      const app = await opened.client(server.url);
      await advertise(app, path, { host: 'no-such-host.invalid', service_id: 'unresolvable', web: [['0.0.0.0', 1]] });
      const { backend } = await opened.asab(server.url, { path });
      const client = discoverable(axios.create(), backend);
      const failing = async (url: string): Promise<unknown> => client.get(url).catch((error: unknown) => error);
      const malformed = await failing('http://service_id.asab/x');
      expect(malformed).toBeInstanceOf(NotDiscoveredError);
      expect(malformed).toMatchObject({
        code: 'INVALID_NAME',
        message: expect.stringContaining('my-app.service_id.asab'),
      });
      expect(await failing('http://asab/x')).toBeInstanceOf(NotDiscoveredError);
      const unknown = await failing('http://nobody.service_id.asab/x');
      expect(unknown).toBeInstanceOf(NotDiscoveredError);
      expect(unknown).toMatchObject({
        code: 'NO_INSTANCE',
        message: expect.stringContaining('nobody.service_id.asab'),
      });
      const unresolvable = await failing('http://unresolvable.service_id.asab/x');
      expect(unresolvable).toBeInstanceOf(NotDiscoveredError);
      expect(unresolvable).toMatchObject({ message: expect.stringContaining('no-such-host.invalid') });
    });

    it('are understood by a lookup, by http agents and by undici', async () => {
      const path = freshName('lookup');
      const app = await opened.client(server.url);
      const port = await answering(opened, 'two');
      await advertise(app, path, { host: 'localhost', instance_id: 'Two-1', web: [['0.0.0.0', port]] });
      const { backend } = await opened.asab(server.url, { path });
      const tools = asabTools(backend);
      const found = await new Promise((resolve, reject) => {
        tools.lookup('two-1.instance_id.asab', { family: 4 }, (error, address) =>
          error ? reject(error) : resolve(address),
        );
      });
      expect(found).toBe('127.0.0.1');
      const withLookup = await axios.get<{ name: string }>(`http://two-1.instance_id.asab:${port}/`, {
        lookup: tools.lookup as never,
      });
      expect(withLookup.data.name).toBe('two');
      const dispatcher = new Agent({ connect: tools.connect });
      const answer = await undiciRequest('http://two-1.instance_id.asab/z', { dispatcher });
      expect(await answer.body.json()).toMatchObject({ name: 'two', url: '/z' });
      await dispatcher.close();
      const system = await new Promise((resolve, reject) => {
        tools.lookup('localhost', { family: 4 }, (error, address) => (error ? reject(error) : resolve(address)));
      });
      expect(system).toBe('127.0.0.1');
    });

    it('as snapshots for the app’s own clients: unknown, then fresh, stale in an outage', async () => {
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      const path = freshName('snapshots');
      const app = await opened.client(server.url);
      await advertise(app, path, RECORDS.a);
      const { backend } = await opened.asab(proxy.url, { path });
      const resolver = backend.addressResolver;
      if (resolver === undefined) throw new Error('no resolver');
      expect(resolver.handles('a.service_id.asab')).toBe(true);
      expect(resolver.handles('a.service_id.asab.example.org')).toBe(false);
      expect(resolver.handles('asabine')).toBe(false);
      const view = resolver.resolve('a.service_id.asab');
      expect(view.current.state).toBe('unknown');
      expect(resolver.resolve('a.service_id.asab')).toBe(view);
      await until(() => view.current.state === 'fresh', 'it is read');
      expect(view.current.instances.map((one) => one.url)).toEqual(['http://h1:1']);
      const [before] = view.current.instances;
      await advertise(app, path, RECORDS.b);
      await until(() => view.current.instances.length === 2, 'a change is seen');
      expect(view.current.instances[0]).toBe(before);
      await proxy.drop();
      await until(() => view.current.state === 'stale', 'it is stale');
      expect(view.current.instances).toHaveLength(2);
      expect(() => resolver.resolve('x.asab')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    });

    it('by what zookeeper() returned, which is what an application has in its hands', async () => {
      const definition = zookeeper({ servers: server.url, sessionTimeoutMs: 2000, layout: asab({ manifest: false }) });
      // Before there is an app nobody could be asked.
      expect(() => discoverable(axios.create(), definition)).toThrow(/an app that has been created/);
      const path = freshName('public');
      const own = zookeeper({ servers: server.url, sessionTimeoutMs: 2000, layout: asab({ path, manifest: false }) });
      const port = await answering(opened, 'public');
      const app = await opened.client(server.url);
      await advertise(app, path, { host: 'localhost', service_id: 'pub', web: [['0.0.0.0', port]] });
      const runtime = await NestFactory.createApplicationContext(
        { module: class {}, imports: [DiscoveryModule.forRoot({ registry: own })] },
        { logger: false },
      );
      opened.add(() => runtime.close());
      const { data } = await discoverable(axios.create(), own).get<{ name: string }>('http://pub.service_id.asab/x');
      expect(data.name).toBe('public');
    });

    it('without the ASAB layout they are an error at once', async () => {
      const { backend } = await opened.backend({ servers: server.url, layout: curator() });
      expect(() => discoverable(axios.create(), backend)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
      expect(() => asabTools(undefined)).toThrow(/asab\(\)/);
    });
  });
});
