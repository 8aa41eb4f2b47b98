import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConsulClient, ConsulLocks, type ConsulElection } from '../../../lib/backends/consul/index.js';
import { withServer } from '../../servers/for-tests.js';
import { RemoteProxy } from './support/remote-proxy.js';
import { fresh, until } from './support/wait.js';

withServer('consul', { variant: 'dev' }, (server) => {
  const closing: (() => Promise<unknown>)[] = [];
  let client: ConsulClient;
  beforeEach(() => {
    client = new ConsulClient(server.url);
    closing.push(() => client.close());
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  const locksAt = (address = server.url): ConsulLocks => {
    const own = new ConsulClient({ address, requestTimeoutMs: 1000 });
    const locks = new ConsulLocks(own);
    closing.push(async () => {
      await locks.close();
      await own.close();
    });
    return locks;
  };
  const options = { lockDelayMs: 0 };
  // Others lock other keys at the same server.
  const sessionsFor = async (key: string) =>
    (await client.session.list())[0].filter((session) => session.Name === `lock ${key}`);

  describe('locks', () => {
    it('one holds it, the next has it as soon as it is given back', async () => {
      const key = fresh('lock');
      const [a, b] = [locksAt(), locksAt()];
      const first = await a.acquire(key, { ...options, value: 'a' });
      expect(first.held).toBe(true);
      expect((await client.kv.get(key))[0]?.Value.toString()).toBe('a');
      expect(await b.tryAcquire(key, options)).toBeUndefined();
      await expect(b.acquire(key, { ...options, waitMs: 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
      const waiting = b.acquire(key, { ...options, value: 'b' });
      await until(async () => (await sessionsFor(key)).length === 2, 'the second waits');
      await first.release();
      expect(first.held).toBe(false);
      const second = await waiting;
      expect((await client.kv.get(key))[0]?.Value.toString()).toBe('b');
      expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
      expect(first.signal.aborted).toBe(false);
      await second.release();
      await second.release();
      expect(await sessionsFor(key)).toEqual([]);
    });

    it('never two at a time, of many who want it', async () => {
      const key = fresh('counter');
      let inside = 0;
      let most = 0;
      let total = 0;
      await Promise.all(
        Array.from({ length: 6 }, () =>
          locksAt().using(
            key,
            async (_, lock) => {
              inside += 1;
              most = Math.max(most, inside);
              await new Promise((resolve) => setTimeout(resolve, 20));
              expect(lock.held).toBe(true);
              inside -= 1;
              total += 1;
            },
            options,
          ),
        ),
      );
      expect([most, total]).toEqual([1, 6]);
    });

    it('the token of a later holder is greater, also when the key was removed in between', async () => {
      const key = fresh('fenced');
      const tokens: number[] = [];
      for (let round = 0; round < 3; round += 1) {
        const lock = await locksAt().acquire(key, options);
        tokens.push(lock.fencingToken);
        await lock.release();
        await client.kv.delete(key);
      }
      expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    });

    it('given back whatever the work does', async () => {
      const key = fresh('lock');
      const locks = locksAt();
      await expect(locks.using(key, () => Promise.reject(new Error('from the work')), options)).rejects.toThrow(
        'from the work',
      );
      expect(await locks.tryAcquire(key, options)).toBeDefined();
    });

    it('lost: when its session is ended, when the key is removed, when another session takes it', async () => {
      for (const harm of ['session', 'key'] as const) {
        const key = fresh('lost');
        const lock = await locksAt().acquire(key, options);
        const aborted = new Promise<unknown>((resolve) => {
          lock.signal.addEventListener('abort', () => resolve(lock.signal.reason), { once: true });
        });
        const [entry] = await client.kv.get(key);
        if (harm === 'session') await client.session.destroy(entry?.Session ?? '');
        else await client.kv.delete(key);
        expect(await aborted).toMatchObject({ code: 'ABORTED' });
        expect(lock.held).toBe(false);
        await lock.release();
      }
    });

    it('lost no later than its TTL when the agent cannot be reached any more', async () => {
      const proxy = await RemoteProxy.open(server.url);
      closing.push(() => proxy.close());
      const key = fresh('cut-off');
      const lock = await locksAt(proxy.url).acquire(key, { ...options, ttlMs: 10_000 });
      await proxy.blackhole();
      await until(() => lock.signal.aborted, 'the holder knows', 30_000);
      // And nobody else could have it by then: servers wait for longer than a TTL from the last renewal.
      expect((await client.kv.get(key))[0]?.Session).toBeDefined();
      await proxy.heal({ resetHeld: true });
    });

    it('is kept for much longer than its TTL, through a short outage', async () => {
      const proxy = await RemoteProxy.open(server.url);
      closing.push(() => proxy.close());
      const key = fresh('kept');
      const lock = await locksAt(proxy.url).acquire(key, { ...options, ttlMs: 10_000 });
      const began = Date.now();
      await until(() => Date.now() - began > 4000, 'a while');
      // The renewal that is due meets it.
      await proxy.drop();
      await until(() => Date.now() - began > 6500, 'the outage');
      await proxy.heal();
      await until(() => Date.now() - began > 22_000, 'more than two TTLs', 30_000);
      expect(lock.held).toBe(true);
      expect((await client.kv.get(key))[0]?.Session).toBeDefined();
      await lock.release();
    });

    it('the delay after a lost holder is waited out', async () => {
      const key = fresh('delayed');
      const lock = await locksAt().acquire(key, { lockDelayMs: 1500 });
      const [entry] = await client.kv.get(key);
      const lostAt = Date.now();
      await client.session.destroy(entry?.Session ?? '');
      await until(() => lock.signal.aborted, 'it is lost');
      const next = await locksAt().acquire(key, options);
      expect(Date.now() - lostAt).toBeGreaterThanOrEqual(1400);
      await next.release();
    });

    it('waiting ends with the signal, and with the locks; no session stays behind', async () => {
      const key = fresh('lock');
      const [holder, waiter] = [locksAt(), locksAt()];
      const lock = await holder.acquire(key, options);
      const controller = new AbortController();
      const aborted = waiter.acquire(key, { ...options, signal: controller.signal });
      const closed = waiter.acquire(key, options);
      await until(async () => (await sessionsFor(key)).length === 3, 'both wait');
      controller.abort();
      await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
      const rejection = expect(closed).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      await waiter.close();
      // Whoever closes the client next takes nothing away from those who waited.
      expect(await sessionsFor(key)).toHaveLength(1);
      await rejection;
      await lock.release();
      expect(await sessionsFor(key)).toEqual([]);
      await expect(waiter.acquire(key, options)).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    });

    it('closing gives back what is held', async () => {
      const key = fresh('lock');
      const locks = locksAt();
      const lock = await locks.acquire(key);
      await locks.close();
      expect([lock.held, lock.signal.aborted]).toEqual([false, true]);
      const next = await locksAt().tryAcquire(key, options);
      expect(next).toBeDefined();
      await next?.release();
    });

    it('wrong options are told by name', async () => {
      const locks = locksAt();
      await expect(locks.acquire('x', { ttlMs: 1000 })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        field: 'ttlMs',
      });
      await expect(locks.acquire('../x')).rejects.toMatchObject({ code: 'INVALID_NAME' });
      expect(() => locks.elect('x', { lockDelayMs: 100_000 })).toThrow(
        expect.objectContaining({ field: 'lockDelayMs' }),
      );
    });
  });

  describe('leader election', () => {
    it('one leads; when it stops, or loses its session, another does', async () => {
      const key = fresh('leader');
      const told: string[] = [];
      const elections: ConsulElection[] = ['a', 'b', 'c'].map((value) =>
        locksAt().elect(key, {
          ...options,
          value,
          onElected: (signal) => {
            told.push(`${value} leads`);
            signal.addEventListener('abort', () => told.push(`${value} must stop`), { once: true });
          },
          onLost: () => told.push(`${value} lost`),
        }),
      );
      const leaders = () => elections.filter((election) => election.isLeader);
      await until(() => leaders().length === 1, 'one leads');
      const [first] = leaders();
      expect(told).toHaveLength(1);
      expect(await elections[0]?.leader()).toBe(told[0]?.[0]);
      await first?.stop();
      await until(() => leaders().length === 1 && leaders()[0] !== first, 'another leads');
      expect(told).toHaveLength(4);
      expect(told[2]).toBe(`${told[0]?.[0] ?? ''} lost`);
      const [second] = leaders();
      const changes: boolean[] = [];
      second?.state.subscribe((leads) => changes.push(leads));
      const [entry] = await client.kv.get(key);
      await client.session.destroy(entry?.Session ?? '');
      await until(() => changes[0] === false, 'it knows that it leads no more');
      await until(() => leaders().length === 1, 'somebody leads again');
      await Promise.all(elections.map((election) => election.stop()));
      expect(leaders()).toEqual([]);
      expect(await first?.leader()).toBeUndefined();
    });

    it('one whose work fails gives the lead up, and stands again', async () => {
      let tries = 0;
      const election = locksAt().elect(fresh('leader'), {
        ...options,
        onElected: () => {
          tries += 1;
          if (tries === 1) throw new Error('from the work');
        },
      });
      await until(() => tries === 2 && election.isLeader, 'it leads again');
      await election.stop();
      await election.stop();
    });
  });
});
