import { describe, expect, it } from 'vitest';
import { KeyValueWatch, readAll, type KeyValueEntry, type NatsClient } from '../../../lib/backends/nats/index.js';
import { withServer } from '../../servers/for-tests.js';
import { bytes, fresh, Opened, text } from './support.js';

/** Consumers of a bucket's stream, as the server counts them. */
async function consumersOf(client: NatsClient, bucket: string): Promise<number> {
  const answer = await client.connection.request(`$JS.API.STREAM.INFO.KV_${bucket}`, new Uint8Array(), {
    timeout: 2000,
  });
  return (JSON.parse(text(answer.data)) as { state: { consumer_count: number } }).state.consumer_count;
}

for (const variant of ['current', '2.9'] as const) {
  withServer('nats', { variant }, (server) => {
    const opened = new Opened();

    describe('a key-value bucket', () => {
      it('numbers, protects and marks as the protocol says', async () => {
        const client = await opened.client(server.url);
        const bucket = client.keyValue(fresh('cfg'), { history: 3, ttlMs: 60_000 });
        opened.closing(() => bucket.destroy());
        expect(await bucket.open()).toMatchObject({ history: 3, ttlMs: 60_000, values: 0, storage: 'file' });
        expect(await bucket.get('a.b')).toBeUndefined();
        expect(await bucket.put('a.b', bytes('one'))).toBe(1);
        const conflict = { code: 'CONFIG_CONFLICT' };
        await expect(bucket.create('a.b', bytes('x'))).rejects.toMatchObject(conflict);
        expect(await bucket.update('a.b', bytes('two'), 1)).toBe(2);
        await expect(bucket.update('a.b', bytes('x'), 1)).rejects.toMatchObject(conflict);
        expect(await bucket.get('a.b')).toMatchObject({
          key: 'a.b',
          revision: 2,
          operation: 'PUT',
          bucket: bucket.bucket,
        });
        expect(await bucket.delete('a.b')).toBe(3);
        expect(await bucket.get('a.b')).toMatchObject({ operation: 'DEL', revision: 3 });
        expect(await bucket.create('a.b', bytes('again'))).toBe(4);
        const history = await readAll(bucket, 'a.b', 'all');
        expect(history.map(({ revision, operation, value }) => [revision, operation, text(value)])).toEqual([
          [2, 'PUT', 'two'],
          [3, 'DEL', ''],
          [4, 'PUT', 'again'],
        ]);
        await expect(bucket.purge('a.b', { ifRevision: 2 })).rejects.toMatchObject(conflict);
        expect(await bucket.purge('a.b', { ifRevision: 4 })).toBe(5);
        expect((await readAll(bucket, 'a.b', 'all')).map(({ operation }) => operation)).toEqual(['PURGE']);
        await bucket.put('a.c', bytes('x'), { headers: { kind: 'text' } });
        expect((await bucket.get('a.c'))?.headers.get('kind')).toEqual(['text']);
        const keys = await readAll(bucket, '>', 'last', { headersOnly: true });
        expect(keys.map(({ key, operation, value }) => [key, operation, value.length])).toEqual([
          ['a.b', 'PURGE', 0],
          ['a.c', 'PUT', 0],
        ]);
        for (const key of ['', '.a', 'a.', 'a..b', 'a b', 'a:b', 'a*']) {
          await expect(bucket.put(key, bytes('x'))).rejects.toMatchObject({ code: 'INVALID_NAME' });
        }
        expect(await bucket.status()).toMatchObject({ values: 2, lastRevision: 6 });
        expect(await bucket.destroy()).toBe(true);
        expect(await bucket.destroy()).toBe(false);
      });

      it('read by the library of NATS, and the other way round', async () => {
        const client = await opened.client(server.url);
        const connection = await opened.connection(server.url);
        const name = fresh('both');
        const bucket = client.keyValue(name, { history: 5 });
        opened.closing(() => bucket.destroy());
        await bucket.put('ours', bytes('1'));
        await bucket.put('gone', bytes('1'));
        await bucket.delete('gone');
        const theirs = await connection.jetstream().views.kv(name, { bindOnly: true });
        expect((await theirs.get('ours'))?.string()).toBe('1');
        expect((await theirs.get('gone'))?.operation).toBe('DEL');
        const revision = await theirs.put('theirs', 'two');
        expect(await bucket.get('theirs')).toMatchObject({ revision, operation: 'PUT' });
        await theirs.purge('ours');
        expect(await bucket.get('ours')).toMatchObject({ operation: 'PURGE' });
      });

      it('is made when it is missing, found when somebody else made it otherwise, or an error', async () => {
        const client = await opened.client(server.url);
        const name = fresh('made');
        const strict = client.keyValue(name, { create: false });
        await expect(strict.put('a', bytes('x'))).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
        const one = client.keyValue(name, { history: 2 });
        const other = client.keyValue(name, { history: 7 });
        opened.closing(() => one.destroy());
        const statuses = await Promise.all([one.open(), other.open()]);
        expect(statuses[0].history).toBe(statuses[1].history);
        await strict.put('a', bytes('x'));
        // Gone behind everybody's back: made again, and the write repeated.
        await one.destroy();
        expect(await other.put('a', bytes('y'))).toBe(1);
      });

      it('expires values', async () => {
        const client = await opened.client(server.url);
        const bucket = client.keyValue(fresh('ttl'), { ttlMs: 1000, markerMs: 1000 });
        opened.closing(() => bucket.destroy());
        const entries: KeyValueEntry[] = [];
        const watch = new KeyValueWatch(bucket, {
          onInitial: () => {},
          onEntry: (entry) => void entries.push(entry),
          onError: () => {},
        });
        opened.closing(() => watch.close());
        await bucket.put('short', bytes('x'));
        await expect
          .poll(() => bucket.get('short').then((entry) => entry?.operation), { timeout: 10_000 })
          .not.toBe('PUT');
        const { markers } = await bucket.status();
        expect(markers).toBe(variant === 'current');
        if (markers) await expect.poll(() => entries.at(-1)?.operation, { timeout: 5000 }).toBe('PURGE');
      });
    });

    describe('a watch', () => {
      it('gives the whole first, then changes and deletions, and leaves no consumer behind', async () => {
        const client = await opened.client(server.url);
        const bucket = client.keyValue(fresh('watched'), { history: 5 });
        opened.closing(() => bucket.destroy());
        await bucket.put('a', bytes('1'));
        await bucket.put('a', bytes('2'));
        await bucket.put('b.c', bytes('3'));
        const record = (include: 'last' | 'all' | 'new', filters?: readonly string[]) => {
          const initial: string[][] = [];
          const changes: string[] = [];
          const interruptions: string[] = [];
          const newest = new Map<string, string>();
          const say = (entry: KeyValueEntry): string => {
            newest.set(entry.key, entry.operation);
            return `${entry.key} ${entry.operation} ${text(entry.value)}`;
          };
          const watch = new KeyValueWatch(bucket, {
            include,
            ...(filters === undefined ? {} : { filters }),
            onInitial: (entries) => {
              newest.clear();
              initial.push(entries.map(say));
            },
            onEntry: (entry) => void changes.push(say(entry)),
            onError: ({ message }) => void interruptions.push(message),
          });
          return { watch, initial, changes, interruptions, newest };
        };
        const last = record('last');
        const all = record('all', ['a']);
        const fromNow = record('new');
        await expect.poll(() => [last, all, fromNow].every(({ initial }) => initial.length > 0)).toBe(true);
        expect(last.initial[0]).toEqual(['a PUT 2', 'b.c PUT 3']);
        expect(all.initial[0]).toEqual(['a PUT 1', 'a PUT 2']);
        expect(fromNow.initial[0]).toEqual([]);
        expect(await consumersOf(client, bucket.bucket)).toBe(3);
        await bucket.delete('a');
        await bucket.put('b.d', bytes('4'));
        await bucket.purge('b.c');
        // On a machine that is too busy for the server's signs of life a watch is interrupted: `last` then begins with a
        // complete set again, the others go on where they were.
        await expect.poll(() => Object.fromEntries(last.newest)).toEqual({ a: 'DEL', 'b.c': 'PURGE', 'b.d': 'PUT' });
        await expect.poll(() => fromNow.changes).toEqual(['a DEL ', 'b.d PUT 4', 'b.c PURGE ']);
        await expect.poll(() => all.changes).toEqual(['a DEL ']);
        expect(last.initial.length).toBeLessThanOrEqual(1 + last.interruptions.length);
        if (last.interruptions.length === 0) expect(last.changes).toEqual(fromNow.changes);
        await Promise.all([last, all, fromNow].map(({ watch }) => watch.close()));
        expect(await consumersOf(client, bucket.bucket)).toBe(0);
      });

      it('copes with thousands of keys, in order', async () => {
        const client = await opened.client(server.url);
        const bucket = client.keyValue(fresh('large'));
        opened.closing(() => bucket.destroy());
        for (let from = 0; from < 3000; from += 500) {
          await Promise.all(
            Array.from({ length: 500 }, (_, index) => bucket.put(`k.${from + index}`, bytes('x'.repeat(200)))),
          );
        }
        const entries = await readAll(bucket, '>', 'last');
        expect(entries).toHaveLength(3000);
        const revisions = entries.map(({ revision }) => revision);
        expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
      });

      it('goes on after a cut connection, without a second consumer: changes seen once and in order', async () => {
        const proxy = await server.proxy();
        const client = await opened.client(proxy.url, { pingIntervalMs: 500 });
        const behind = await opened.client(server.url);
        const bucket = behind.keyValue(fresh('cut'), { history: 20 });
        opened.closing(() => bucket.destroy());
        await bucket.put('n', bytes('0'));
        const seen: string[] = [];
        const errors: string[] = [];
        const sets: number[] = [];
        const watched = client.keyValue(bucket.bucket);
        const all = new KeyValueWatch(watched, {
          include: 'all',
          heartbeatMs: 200,
          onInitial: (entries) => void seen.push(...entries.map(({ value }) => text(value))),
          onEntry: ({ value }) => void seen.push(text(value)),
          onError: ({ code }) => void errors.push(code),
        });
        const last = new KeyValueWatch(watched, {
          heartbeatMs: 200,
          onInitial: (entries) => void sets.push(entries.length),
          onEntry: () => {},
          onError: () => {},
        });
        await expect.poll(() => [seen.length, sets.length]).toEqual([1, 1]);
        for (const fault of ['drop', 'reset', 'blackhole'] as const) {
          const before = seen.length;
          if (fault === 'drop') await proxy.drop();
          else if (fault === 'reset') proxy.reset();
          else proxy.blackhole();
          await bucket.put('n', bytes(`during ${fault}`));
          // A silent connection is found by the missing heartbeats.
          await expect.poll(() => errors.length, { timeout: 10_000 }).toBeGreaterThan(0);
          await proxy.heal({ resetHeld: fault === 'blackhole' });
          await bucket.put('n', bytes(`after ${fault}`));
          await expect
            .poll(() => seen.slice(before), { timeout: 15_000 })
            .toEqual([`during ${fault}`, `after ${fault}`]);
          errors.length = 0;
        }
        await expect.poll(() => sets.length, { timeout: 10_000 }).toBeGreaterThan(1);
        await expect.poll(() => consumersOf(behind, bucket.bucket), { timeout: 20_000 }).toBe(2);
        await Promise.all([all.close(), last.close()]);
        expect(await consumersOf(behind, bucket.bucket)).toBe(0);
      });

      it('notices that its bucket was removed, and watches the new one', async () => {
        const client = await opened.client(server.url);
        const bucket = client.keyValue(fresh('lost'));
        opened.closing(() => bucket.destroy());
        await bucket.put('a', bytes('1'));
        const sets: string[][] = [];
        const watch = new KeyValueWatch(client.keyValue(bucket.bucket), {
          heartbeatMs: 200,
          onInitial: (entries) => void sets.push(entries.map(({ value }) => text(value))),
          onEntry: (entry) => void sets.push([text(entry.value)]),
          onError: () => {},
        });
        opened.closing(() => watch.close());
        await expect.poll(() => sets).toEqual([['1']]);
        await bucket.destroy();
        await expect.poll(() => sets.at(-1), { timeout: 10_000 }).toEqual([]);
        await bucket.put('a', bytes('new'));
        await expect.poll(() => sets.at(-1), { timeout: 10_000 }).toEqual(['new']);
      });
    });
  });
}

withServer('nats', { variant: 'current', private: true }, (server) => {
  const opened = new Opened();
  it('a removed consumer is made again', async () => {
    const client = await opened.client(server.url);
    const bucket = client.keyValue('removed');
    const seen: string[] = [];
    const watch = new KeyValueWatch(bucket, {
      include: 'new',
      heartbeatMs: 200,
      onInitial: () => void seen.push('ready'),
      onEntry: ({ key }) => void seen.push(key),
      onError: () => {},
    });
    opened.closing(() => watch.close());
    await expect.poll(() => seen).toEqual(['ready']);
    const names = await client.connection.request('$JS.API.CONSUMER.NAMES.KV_removed', new Uint8Array(), {
      timeout: 2000,
    });
    const [name] = (JSON.parse(text(names.data)) as { consumers: string[] }).consumers;
    await client.connection.request(`$JS.API.CONSUMER.DELETE.KV_removed.${name}`, new Uint8Array(), { timeout: 2000 });
    await bucket.put('one', bytes('1'));
    await bucket.put('two', bytes('2'));
    await expect.poll(() => seen, { timeout: 10_000 }).toEqual(['ready', 'one', 'two']);
    expect(await consumersOf(client, 'removed')).toBe(1);
  });
});
