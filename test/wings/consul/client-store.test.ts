import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConsulClient, type ConsulError } from '../../../lib/backends/consul/index.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh, until } from './support/wait.js';

withServer('consul', { variant: 'dev' }, (server) => {
  let consul: ConsulClient;
  beforeAll(() => {
    consul = new ConsulClient(server.url);
  });
  afterAll(() => consul.close());

  describe('key/value', () => {
    it('CO-04 CO-63 CO-64 CO-106 sets, and gets what was set: bytes and text', async () => {
      const key = fresh('kv');
      expect(await consul.kv.set(key, Buffer.from('bar'))).toBe(true);
      const [entry, meta] = await consul.kv.get(key);
      expect(entry?.Value).toEqual(Buffer.from('bar'));
      expect(entry).toMatchObject({ Key: key, Flags: 0, LockIndex: 0 });
      expect(Number(meta.Index)).toBe(entry?.ModifyIndex);
      await consul.kv.set(key, 'Grüße');
      expect((await consul.kv.get(key))[0]?.Value.toString()).toBe('Grüße');
      const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      await consul.kv.set(key, bytes);
      expect((await consul.kv.get(key))[0]?.Value).toEqual(Buffer.from(bytes));
      expect((await consul.kv.raw(key))[0]).toEqual(Buffer.from(bytes));
    });

    it('an entry without content, and none at all', async () => {
      const key = fresh('kv');
      await consul.kv.set(key, '');
      expect((await consul.kv.get(key))[0]?.Value).toEqual(Buffer.alloc(0));
      const [missing, meta] = await consul.kv.get(fresh('none'));
      expect(missing).toBeUndefined();
      expect(Number(meta.Index)).toBeGreaterThan(0);
      expect((await consul.kv.raw(fresh('none')))[0]).toBeUndefined();
    });

    it('keys are taken as they are: blanks, colons, percent signs, other scripts', async () => {
      const base = fresh('odd');
      for (const name of ['a b', 'a:b', '100%', 'ключ', 'a?b=c&d', 'plus+plus', 'Zürich/Süd']) {
        await consul.kv.set(`${base}/${name}`, name);
        expect((await consul.kv.get(`${base}/${name}`))[0]?.Key).toBe(`${base}/${name}`);
      }
      await expect(consul.kv.get('../x')).rejects.toMatchObject({ code: 'INVALID_NAME' });
      await expect(consul.kv.set('/x', '')).rejects.toMatchObject({ code: 'INVALID_NAME' });
      await expect(consul.kv.delete('a//b')).rejects.toMatchObject({ code: 'INVALID_NAME' });
    });

    it('flags, also those that a number cannot hold', async () => {
      const key = fresh('kv');
      await consul.kv.set(key, 'x', { flags: 42 });
      expect((await consul.kv.get(key))[0]?.Flags).toBe(42);
      await consul.kv.set(key, '"Flags": 12345678901234567890', { flags: 18_446_744_073_709_551_615n });
      const [entry] = await consul.kv.get(key);
      expect(entry?.Flags).toBe(18_446_744_073_709_551_615n);
      expect(entry?.Value.toString()).toBe('"Flags": 12345678901234567890');
    });

    it('CO-62 CO-66 CO-67 CO-68 keys with a separator, a tree read and removed', async () => {
      const base = fresh('tree');
      for (const name of ['a', 'b/c', 'b/d', 'b/e/f']) await consul.kv.set(`${base}/${name}`, name);
      const [all] = await consul.kv.keys(base);
      expect(all).toHaveLength(4);
      const [level, meta] = await consul.kv.keys(`${base}/`, { separator: '/' });
      expect(level).toEqual([`${base}/a`, `${base}/b/`]);
      expect(meta.KnownLeader).toBe(true);
      const [tree] = await consul.kv.getTree(`${base}/b`, { separator: '/' });
      expect(tree.map((entry) => entry.Value.toString())).toEqual(['b/c', 'b/d', 'b/e/f']);
      expect(await consul.kv.deleteTree(`${base}/b`, { separator: '/' })).toBe(true);
      expect((await consul.kv.keys(base))[0]).toEqual([`${base}/a`]);
      expect((await consul.kv.keys(fresh('none')))[0]).toEqual([]);
      expect((await consul.kv.getTree(fresh('none')))[0]).toEqual([]);
    });

    it('CO-12 CO-69 CO-70 CO-71 CO-96 compare-and-set and delete take an index, a meta or an entry', async () => {
      const key = fresh('cas');
      expect(await consul.kv.cas(key, 'one', { index: 0 })).toBe(true);
      expect(await consul.kv.cas(key, 'again', { index: 0 })).toBe(false);
      const [entry, meta] = await consul.kv.get(key);
      expect(await consul.kv.cas(key, 'two', { index: meta })).toBe(true);
      expect(await consul.kv.cas(key, 'late', { index: meta })).toBe(false);
      const [second] = await consul.kv.get(key);
      if (entry === undefined || second === undefined) throw new Error('both were read');
      expect(await consul.kv.deleteCas(key, { index: entry })).toBe(false);
      expect(await consul.kv.cas(key, 'three', { index: String(second.ModifyIndex) })).toBe(true);
      const [third] = await consul.kv.get(key);
      expect(await consul.kv.deleteCas(key, { index: third?.ModifyIndex ?? 0 })).toBe(true);
      expect((await consul.kv.get(key))[0]).toBeUndefined();
    });

    it('CO-65 deletes, and says true also when there was nothing', async () => {
      const key = fresh('kv');
      await consul.kv.set(key, 'x');
      expect(await consul.kv.delete(key)).toBe(true);
      expect(await consul.kv.delete(key)).toBe(true);
      expect((await consul.kv.get(key))[0]).toBeUndefined();
    });

    it('CO-11 CO-72 CO-73 CO-97 locks and unlocks with a session or its id', async () => {
      const key = fresh('lock');
      const mine = await consul.session.create({ TTL: '10s', LockDelay: 0 });
      const other = await consul.session.create({ TTL: 10_000, LockDelay: '0s' });
      expect(await consul.kv.lock(key, 'me', { session: { ID: mine } })).toBe(true);
      expect(await consul.kv.lock(key, 'you', { session: other })).toBe(false);
      const [held] = await consul.kv.get(key);
      expect(held).toMatchObject({ Session: mine, LockIndex: 1 });
      expect(await consul.kv.unlock(key, 'you', { session: other })).toBe(false);
      expect(await consul.kv.unlock(key, 'me', { session: mine })).toBe(true);
      expect(await consul.kv.lock(key, 'you', { session: other })).toBe(true);
      await Promise.all([consul.session.destroy(mine), consul.session.destroy({ ID: other })]);
    });

    it('CO-09 CO-16 CO-50 CO-104 a blocking read takes the meta, alone or with a duration, and hears of the change', async () => {
      const key = fresh('watch');
      await consul.kv.set(key, 'one');
      const [entry, meta] = await consul.kv.get(key);
      const waiting = [
        consul.kv.get(key, { watch: meta }),
        consul.kv.get(key, { watch: [meta, '20s'] }),
        consul.kv.get(key, { watch: [meta.Index, null] }),
        consul.kv.get(key, { watch: { ModifyIndex: entry?.ModifyIndex ?? 0 } }),
      ];
      await until(() => consul.requestsInFlight === 4, 'all wait at the server');
      await consul.kv.set(key, 'two');
      for (const [changed] of await Promise.all(waiting)) expect(changed?.Value.toString()).toBe('two');
      const before = Date.now();
      const [, latest] = await consul.kv.get(key);
      const [same, again] = await consul.kv.get(key, { watch: [latest, 300] });
      expect(Date.now() - before).toBeGreaterThanOrEqual(250);
      expect(again.Index).toBe(latest.Index);
      expect(same?.Value.toString()).toBe('two');
    });

    it('a key that is missing can be waited for, and an abort ends the waiting', async () => {
      const key = fresh('later');
      const [, meta] = await consul.kv.get(key);
      const waiting = consul.kv.get(key, { watch: [meta, '20s'] });
      await until(() => consul.requestsInFlight === 1, 'it waits');
      await consul.kv.set(key, 'here');
      expect((await waiting)[0]?.Value.toString()).toBe('here');
      const [, next] = await consul.kv.get(key);
      const controller = new AbortController();
      const aborted = consul.kv.get(key, { watch: [next, '20s'], signal: controller.signal });
      await until(() => consul.requestsInFlight === 1, 'it waits');
      controller.abort();
      await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
      expect(consul.requestsInFlight).toBe(0);
    });

    it('what is too large is refused', async () => {
      await expect(consul.kv.set(fresh('big'), Buffer.alloc(600_000))).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'request',
        status: 413,
      });
    });
  });

  describe('transactions', () => {
    it('CO-74 CO-75 a chain of operations, done as one', async () => {
      const [a, b, tree] = [fresh('a'), fresh('b'), fresh('tree')];
      const session = await consul.session.create({ TTL: '10s', LockDelay: 0 });
      await consul.kv.set(`${tree}/x`, 'x');
      const [results, meta] = await consul.kv
        .prepare()
        .set(a, 'one', { flags: 7 })
        .get(a)
        .lock(b, 'held', { session })
        .checkSession(b, { session: { ID: session } })
        .unlock(b, 'free', { session })
        .checkNotExists(fresh('none'))
        .getOrEmpty(fresh('none'))
        .getTree(tree)
        .deleteTree(tree)
        .execute();
      expect(results.map((result) => result.KV?.Key).slice(0, 3)).toEqual([a, a, b]);
      expect(results[1]?.KV).toMatchObject({ Flags: 7, Value: Buffer.from('one') });
      // It writes too: Consul says nothing of its state then.
      expect(meta).toBeUndefined();
      const [entry] = await consul.kv.get(a);
      await consul
        .prepare()
        .checkIndex(a, { index: entry ?? 0 })
        .cas(a, 'two', { index: entry ?? 0 })
        .delete(b)
        .execute();
      expect((await consul.kv.get(a))[0]?.Value.toString()).toBe('two');
      expect((await consul.kv.get(b))[0]).toBeUndefined();
      expect((await consul.kv.getTree(tree))[0]).toEqual([]);
      const [last] = await consul.kv.get(a);
      await consul
        .prepare()
        .deleteCas(a, { index: last ?? 0 })
        .execute();
      await consul.session.destroy(session);
    });

    it('CO-76 all or nothing, with the errors by operation', async () => {
      const key = fresh('txn');
      const failing = consul.prepare().set(key, 'x').get(fresh('none')).cas(key, 'y', { index: 1 }).execute();
      const error = await failing.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'ConsulError', kind: 'transaction' });
      expect((error as ConsulError).errors.map((one) => one.OpIndex)).toContain(1);
      expect((error as ConsulError).errors[0]?.What).toContain("doesn't exist");
      expect((await consul.kv.get(key))[0]).toBeUndefined();
    });

    it('a transaction that only reads has its meta', async () => {
      const key = fresh('txn');
      await consul.kv.set(key, 'x');
      const [, meta] = await consul.prepare().get(key).execute();
      expect(Number(meta?.Index)).toBeGreaterThan(0);
      expect(meta?.KnownLeader).toBe(true);
    });

    it('flags beyond a number, and operations on services and nodes', async () => {
      const [key, node] = [fresh('txn'), fresh('node')];
      const [results] = await consul
        .prepare()
        .set(key, 'x', { flags: 2n ** 63n })
        .get(key)
        .operation({ Node: { Verb: 'set', Node: { Node: node, Address: '10.0.0.9' } } })
        .execute();
      expect(results[1]?.KV?.Flags).toBe(2n ** 63n);
      expect((await consul.catalog.node(node))[0]?.Node.Address).toBe('10.0.0.9');
      await consul.catalog.deregister({ Node: node });
    });

    it("respects the server's limit of operations", async () => {
      const transaction = consul.prepare();
      const base = fresh('many');
      for (let at = 0; at < 128; at += 1) transaction.set(`${base}/${at}`, '');
      expect(transaction.length).toBe(128);
      expect(() => transaction.set(`${base}/128`, '')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
      await transaction.execute();
      expect((await consul.kv.keys(base))[0]).toHaveLength(128);
      const beyond = new ConsulClient({ address: server.url, transactionLimit: 200 });
      const large = beyond.prepare();
      for (let at = 0; at < 129; at += 1) large.set(`${base}/${at}`, '');
      await expect(large.execute()).rejects.toMatchObject({ name: 'ConsulError', kind: 'request' });
      await beyond.close();
    });
  });

  describe('sessions', () => {
    it('CO-88 to CO-93 creates, reads, renews, lists, destroys', async () => {
      const { Config } = await consul.agent.self();
      const id = await consul.session.create({ Name: 'mine', TTL: 20_000, LockDelay: '2s', Behavior: 'delete' });
      const [session, meta] = await consul.session.info(id);
      expect(session).toMatchObject({
        ID: id,
        Name: 'mine',
        Node: Config.NodeName,
        Behavior: 'delete',
        TTL: '20000ms',
      });
      expect(session?.LockDelay).toBe(2e9);
      expect(Number(meta.Index)).toBeGreaterThan(0);
      // Consul says nothing of its state with a write: nothing is made up.
      const [renewed, none] = await consul.session.renew({ ID: id });
      expect([renewed.ID, none]).toEqual([id, undefined]);
      expect((await consul.session.node(Config.NodeName))[0].map((one) => one.ID)).toContain(id);
      expect((await consul.session.list())[0].map((one) => one.ID)).toContain(id);
      expect(await consul.session.destroy({ ID: id })).toBe(true);
      expect((await consul.session.info(id))[0]).toBeUndefined();
      await expect(consul.session.renew(id)).rejects.toMatchObject({ name: 'ConsulError', kind: 'not-found' });
      await expect(consul.session.create({ TTL: '1s' })).rejects.toMatchObject({ name: 'ConsulError', kind: 'server' });
      await expect(consul.session.create({ TTL: '1d' })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        field: 'TTL',
      });
    });
  });

  describe('what all operations share', () => {
    it('CO-10 CO-14 CO-100 CO-101 CO-102 every consistency, and a bound for stale reads', async () => {
      const key = fresh('consistency');
      await consul.kv.set(key, 'x');
      for (const consistency of ['default', 'consistent', 'stale'] as const) {
        const [entry] = await consul.kv.get(key, { consistency });
        expect(entry?.Value.toString()).toBe('x');
      }
      const [, meta] = await consul.health.service('consul', { consistency: 'stale' });
      expect(meta.EffectiveConsistency).toBe('stale');
      const [, strict] = await consul.health.service('consul', { consistency: 'consistent' });
      expect(strict.EffectiveConsistency).toBe('consistent');
      const [bounded] = await consul.kv.get(key, { consistency: 'stale', maxStale: '5s' });
      expect(bounded?.Value.toString()).toBe('x');
      const client = new ConsulClient({ address: server.url, consistency: 'stale' });
      expect((await client.health.service('consul'))[1].EffectiveConsistency).toBe('stale');
      await client.close();
    });

    it('CO-08 the datacentre, and one that is unknown', async () => {
      const { Config } = await consul.agent.self();
      await consul.kv.get('x', { dc: Config.Datacenter });
      await expect(consul.kv.get('x', { dc: 'nowhere' })).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'server',
        code: 'BACKEND_UNAVAILABLE',
        answer: 'No path to datacenter',
      });
      const elsewhere = new ConsulClient({ address: server.url, datacenter: 'nowhere' });
      await expect(elsewhere.catalog.nodes()).rejects.toMatchObject({ name: 'ConsulError', kind: 'server' });
      await elsewhere.close();
    });

    it('CO-15 CO-17 CO-18 meta', async () => {
      const [, meta] = await consul.catalog.nodes();
      expect(meta).toMatchObject({ KnownLeader: true, LastContact: 0, DefaultACLPolicy: 'allow' });
      expect(meta.ResultsFilteredByACLs).toBe(false);
    });

    it('CO-103 durations as Consul writes them, or milliseconds; days are refused before they are sent', async () => {
      for (const wait of ['50ms', '0.05s', 50]) await consul.kv.get('x', { watch: [1, wait] });
      await expect(consul.kv.get('x', { watch: [1, '1d'] })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    });

    it('CO-07 errors by status', async () => {
      await expect(consul.request('GET', '/kv/x?index=abc')).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'request',
      });
      await expect(consul.request('GET', '/agent/service/deregister/x')).rejects.toMatchObject({ status: 405 });
      await expect(consul.request('GET', '/no/such/thing')).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'not-found',
      });
    });

    it('CO-06 any operation by hand', async () => {
      const response = await consul.request('PUT', `/kv/${fresh('raw')}`, { body: 'x' });
      expect(response.json()).toBe(true);
      const listed = await consul.request('GET', '/catalog/services', { consistency: 'stale' });
      expect(listed.json()).toHaveProperty('consul');
      expect(listed.meta.Index).not.toBe('0');
      // With a query of its own, which no message shows.
      const there = new ConsulClient({ address: server.url, datacenter: 'dc1', consistency: 'stale' });
      expect((await there.request('GET', '/catalog/nodes?filter=Node+%3D%3D+nobody')).json()).toEqual([]);
      const failure = await there.request('GET', '/kv/x?index=geheim').catch((reason: unknown) => reason);
      expect(failure).toMatchObject({ status: 400, operation: 'GET /v1/kv/x' });
      await there.close();
    });

    it('CO-01 CO-02 CO-05 an address is enough', async () => {
      const client = new ConsulClient(server.url.replace('http://', ''));
      expect(await client.status.leader()).toMatch(/:\d+$/);
      await client.close();
      await expect(client.status.leader()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    });
  });

  describe('watch', () => {
    it('tells the first value and every change, and nothing after close', async () => {
      const key = fresh('watched');
      const heard: (string | undefined)[] = [];
      const watch = consul.watch(
        (options) => consul.kv.get(key, options),
        ({ value, error }) => heard.push(error?.message ?? value?.Value.toString()),
      );
      await until(() => heard.length === 1, 'the first report');
      await consul.kv.set(key, 'one');
      await until(() => heard.at(-1) === 'one', 'the change');
      await consul.kv.delete(key);
      await until(() => heard.length === 3, 'the deletion');
      expect(heard).toEqual([undefined, 'one', undefined]);
      await watch.refresh();
      expect(heard).toHaveLength(4);
      await watch.close();
      await consul.kv.set(key, 'late');
      await expect(watch.refresh()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      expect(heard).toHaveLength(4);
    });
  });
});
