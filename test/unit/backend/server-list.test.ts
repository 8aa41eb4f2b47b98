import fc from 'fast-check';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ServerList, type ServerListOptions } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, noUnhandledRejections, rejectionOf } from './helpers.js';

noUnhandledRejections();

/** What a server that can't be reached answers. */
class Down extends Error {
  readonly code = 'ECONNREFUSED';
}

/** What a server answers that says no. */
class Refused extends Error {}

function setUp(servers: string[], over: Partial<ServerListOptions> = {}) {
  const clock = new ManualClock(0);
  const list = new ServerList({
    clock,
    backend: 'eureka',
    servers,
    isServerFailure: (error) => error instanceof Down,
    random: () => 0,
    ...over,
  });
  const down = new Set<string>();
  const calls: string[] = [];
  const call = (signal?: AbortSignal): Promise<string> =>
    list.run(async (server) => {
      calls.push(server);
      if (down.has(server)) throw new Down(`connect ${server}`);
      return server;
    }, signal);
  const take = (): string[] => calls.splice(0);
  return { clock, list, down, call, take };
}

describe('ServerList', () => {
  it('stays with the server that answered last', async () => {
    const { call, take, down } = setUp(['a', 'b', 'c']);
    expect(await call()).toBe('a');
    down.add('a');
    expect(await call()).toBe('b');
    down.clear();
    expect(await call()).toBe('b');
    expect(take()).toEqual(['a', 'a', 'b', 'b']);
  });

  it('moves on within the call, avoids what failed, and tries it last (R27)', async () => {
    const { call, take, down, list } = setUp(['a', 'b', 'c', 'd']);
    down.add('a');
    expect(await call()).toBe('b');
    expect(list.quarantined).toEqual(['a']);
    down.add('b');
    expect(await call()).toBe('c');
    expect(take()).toEqual(['a', 'b', 'b', 'c']);
    expect(list.quarantined).toEqual(['a', 'b']);
    down.delete('a');
    down.add('c').add('d');
    // The third failure of four empties the quarantine; the order of this call stands.
    expect(await call()).toBe('a');
    expect(take()).toEqual(['c', 'd', 'a']);
  });

  it('empties the quarantine when two thirds of the servers are in it', async () => {
    const { call, down, list } = setUp(['a', 'b', 'c', 'd', 'e', 'f'], { maxAttempts: 1 });
    for (const server of ['a', 'b', 'c', 'd']) down.add(server);
    const sizes: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      await rejectionOf(call());
      sizes.push(list.quarantined.length);
    }
    expect(sizes).toEqual([1, 2, 3, 0]);
  });

  it('keeps a single server in use', async () => {
    const { call, down, list } = setUp(['a']);
    down.add('a');
    await rejectionOf(call());
    expect(list.quarantined).toEqual([]);
    down.clear();
    expect(await call()).toBe('a');
  });

  it('takes an answer for an answer: no second server, and the first is well', async () => {
    const { list, down, call, take } = setUp(['a', 'b', 'c']);
    down.add('a');
    await call();
    take();
    const refused = new Refused('404');
    const asked: string[] = [];
    await expect(
      list.run((server) => {
        asked.push(server);
        throw refused;
      }),
    ).rejects.toBe(refused);
    expect(asked).toEqual(['b']);
    expect(await call()).toBe('b');
  });

  it('tries no more servers than it may', async () => {
    const { call, take, down } = setUp(['a', 'b', 'c', 'd'], { maxAttempts: 3 });
    for (const server of ['a', 'b', 'c', 'd']) down.add(server);
    expect((await rejectionOf(call())).attempts).toHaveLength(3);
    expect(take()).toEqual(['a', 'b', 'c']);
  });

  it('says who was tried when all failed, and no password', async () => {
    const servers = ['http://admin:hunter2@one:8761/eureka?token=tok3n', 'http://adm:p@hunter2@two:8761'];
    const list = new ServerList({ clock: new ManualClock(), backend: 'eureka', servers, isServerFailure: () => true });
    const error = await rejectionOf(
      list.run(async (server) => {
        throw Object.assign(new Error(`request to ${server} failed`), { code: 'ETIMEDOUT' });
      }),
    );
    expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE', backend: 'eureka' });
    expect(error.attempts).toEqual([
      { target: 'http://one:8761/eureka', reason: 'request to http://one:8761/eureka failed', code: 'ETIMEDOUT' },
      { target: 'http://two:8761', reason: 'request to http://two:8761 failed', code: 'ETIMEDOUT' },
    ]);
    expect(error.message).toContain('http://one:8761/eureka (request to http://one:8761/eureka failed)');
    expect(`${error.message} ${inspect(error.attempts)}`).not.toMatch(/hunter2|admin|tok3n/);
    expect(error.cause).toBeInstanceOf(Error);
  });

  it('says so when it knows no server', async () => {
    const { call, list } = setUp([]);
    expect(await rejectionOf(call())).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'no server of eureka answered: none is known',
      attempts: [],
    });
    list.update(['z']);
    expect(await call()).toBe('z');
  });

  it('ends with the signal: no further server, no blame on the one that was asked', async () => {
    const controller = new AbortController();
    const { list, call, take } = setUp(['a', 'b', 'c']);
    await call();
    take();
    const asked: string[] = [];
    const cause = new Down('cut off');
    const error = await rejectionOf(
      list.run(async (server) => {
        asked.push(server);
        controller.abort();
        throw cause;
      }, controller.signal),
    );
    expect(error).toMatchObject({ code: 'ABORTED', backend: 'eureka', cause });
    expect(asked).toEqual(['a']);
    expect(list.quarantined).toEqual([]);
    expect(await call()).toBe('a');
    take();
    expect((await rejectionOf(call(controller.signal))).code).toBe('ABORTED');
    expect(take()).toEqual([]);
  });

  it('does not take an abortion for an answer of the server', async () => {
    const { list, down, call } = setUp(['a', 'b', 'c']);
    down.add('a');
    await call();
    const controller = new AbortController();
    const aborted = await rejectionOf(
      list.run(async (server) => {
        controller.abort();
        throw Object.assign(new Error(`aborted at ${server}`), { name: 'AbortError' });
      }, controller.signal),
    );
    expect(aborted.code).toBe('ABORTED');
    expect(list.quarantined).toEqual(['a']);
  });

  describe('update()', () => {
    it('keeps the present server while it is listed, and forgets what is gone', async () => {
      const { list, call, down } = setUp(['a', 'b', 'c']);
      down.add('a');
      await call();
      list.update(['c', 'b', 'b']);
      expect(list.all).toEqual(['c', 'b']);
      expect(list.quarantined).toEqual([]);
      expect(await call()).toBe('b');
      list.update(['d', 'c']);
      expect(await call()).toBe('d');
    });

    it.each(['answers', 'fails'])('is not undone by a call under way whose server %s afterwards', async (how) => {
      const { list, call, take } = setUp(['old', 'x']);
      const answer = deferred();
      const running = list.run(async (server) => {
        if (server === 'old') await answer.promise;
        return server;
      });
      list.update(['new1', 'new2', 'new3']);
      if (how === 'answers') answer.resolve();
      else answer.reject(new Down('gone'));
      await running;
      expect(list.quarantined).toEqual([]);
      expect(await call()).toBe('new1');
      expect(take()).toEqual(['new1']);
    });
  });

  describe('sessions (R28)', () => {
    const sessionMs = 20 * 60_000;

    it.each([
      [0, 10],
      [0.5, 20],
      [0.999_999, 30],
    ])('end after 20 min ± 50 %% (drawn %f: %i min)', async (drawn, minutes) => {
      const { clock, call } = setUp(['a', 'b'], { sessionMs, random: () => drawn });
      await call();
      await clock.advance(minutes * 60_000 - 1000);
      expect(await call()).toBe('a');
      await clock.advance(1000);
      expect(await call()).toBe('b');
    });

    it('give a server that came back its share again', async () => {
      const { clock, call, down, list } = setUp(['a', 'b'], { sessionMs });
      down.add('a');
      expect(await call()).toBe('b');
      expect(list.quarantined).toEqual(['a']);
      down.clear();
      await clock.advance(30 * 60_000);
      expect(await call()).toBe('a');
    });

    it('begin without a quarantine', async () => {
      const { clock, call, down, list } = setUp(['a', 'b', 'c', 'd', 'e', 'f'], { sessionMs, random: () => 0.999 });
      down.add('a').add('b');
      expect(await call()).toBe('c');
      expect(list.quarantined).toEqual(['a', 'b']);
      await clock.advance(30 * 60_000);
      expect(await call()).toBe('f');
      expect(list.quarantined).toEqual([]);
    });

    it('move on within the call when the server picked is still down', async () => {
      const { clock, call, down, take } = setUp(['a', 'b'], { sessionMs });
      down.add('a');
      await call();
      take();
      await clock.advance(30 * 60_000);
      expect(await call()).toBe('b');
      expect(take()).toEqual(['a', 'b']);
    });

    it('draw evenly among the others', async () => {
      const { clock, call } = setUp(['a', 'b', 'c', 'd'], { sessionMs, random: Math.random });
      const seen = new Map<string, number>();
      let before = await call();
      for (let i = 0; i < 300; i += 1) {
        await clock.advance(30 * 60_000);
        const server = await call();
        expect(server).not.toBe(before);
        before = server;
        seen.set(server, (seen.get(server) ?? 0) + 1);
      }
      for (const count of seen.values()) expect(count).toBeGreaterThan(35);
      expect(seen.size).toBe(4);
    });

    it('never end without sessionMs', async () => {
      const { clock, call } = setUp(['a', 'b']);
      await call();
      await clock.advance(1e9);
      expect(await call()).toBe('a');
    });
  });

  it('answers whenever one server is up, tries each at most once, and quarantines less than the limit', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const anyStep = fc.record({ down: fc.subarray(names), known: fc.subarray(names, { minLength: 1 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 20 }), async (steps) => {
        const { list, call, down, take } = setUp(names, { sessionMs: 1 });
        for (const step of steps) {
          list.update(step.known);
          down.clear();
          for (const server of step.down) down.add(server);
          const up = step.known.filter((server) => !step.down.includes(server));
          const result = await call().catch(() => undefined);
          expect(result !== undefined).toBe(up.length > 0);
          const tried = take();
          expect(new Set(tried).size).toBe(tried.length);
          expect(tried.every((server) => step.known.includes(server))).toBe(true);
          expect(list.quarantined.length).toBeLessThan((step.known.length * 2) / 3);
        }
      }),
    );
  });
});
