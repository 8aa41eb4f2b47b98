import { describe, expect, it } from 'vitest';
import { openFeed, sleep, type Feed, type FeedReport } from '../../../lib/backend/index.js';
import {
  blockingSource,
  nextIndex,
  WatchBudget,
  type BlockingQueryOptions,
} from '../../../lib/backends/consul/client/blocking-query.js';
import { metaOf, type Answer } from '../../../lib/backends/consul/client/meta.js';
import type { Blocking } from '../../../lib/backends/consul/client/values.js';
import { ManualClock } from '../../../lib/testing/manual-clock.js';

const answer = (value: string, index: number | string): Answer<string> => [
  value,
  metaOf({ 'x-consul-index': String(index), 'x-consul-knownleader': 'true' }),
];

/** The feed of a blocking query. */
function watch(
  clock: ManualClock,
  options: BlockingQueryOptions<string, string>,
  report: (report: FeedReport<string>) => void,
): Feed {
  const home = { clock, random: () => 0.5, backend: 'consul', onListenerError: () => {} };
  return openFeed(blockingSource(options), home, report);
}

describe('the index of the next question', () => {
  it.each([
    [undefined, '7', '7'],
    [undefined, '0', '1'],
    ['5', '7', '7'],
    ['7', '7', '7'],
    ['7', '5', undefined],
    ['7', '0', undefined],
    ['1', '0', '1'],
    ['9007199254740993', '9007199254740992', undefined],
  ])('after %s, answered with %s, is %s', (previous, answered, next) =>
    expect(nextIndex(previous, answered)).toBe(next),
  );
});

describe('a blocking query', () => {
  /** Answers one after the other; after the last it waits for ever. */
  const run = (
    answers: (Answer<string> | Error)[],
    settings: Partial<{ burst: number; minIntervalMs: number }> = {},
  ) => {
    const clock = new ManualClock();
    const asked: { readonly index: string | undefined; readonly at: number }[] = [];
    const reports: FeedReport<string>[] = [];
    const source: BlockingQueryOptions<string, string> = {
      what: 'it',
      settings: { waitMs: 60_000, burst: 2, minIntervalMs: 1000, maxBackoffMs: 1000, ...settings },
      budget: new WatchBudget(10, () => {}),
      ask: ({ watch, signal }: { watch?: Blocking; signal?: AbortSignal }) => {
        asked.push({ index: Array.isArray(watch) ? String(watch[0]) : undefined, at: clock.now() });
        const next = answers.shift();
        if (next instanceof Error) return Promise.reject(next);
        if (next !== undefined) return Promise.resolve(next);
        return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))));
      },
      decode: (value, _, previous) => (value === previous ? previous : value),
    };
    const query = watch(clock, source, (report) => reports.push(report));
    return {
      clock,
      asked,
      reports,
      query,
      values: () => reports.map((report) => report.error?.message ?? report.value),
    };
  };

  it('asks from index to index, and tells changes only', async () => {
    const { clock, asked, values, query } = run(
      [answer('a', 5), answer('a', 5), answer('a', 6), answer('b', 7), answer('b', 3), answer('b', 3), answer('c', 4)],
      { burst: 100 },
    );
    await clock.advance(100);
    expect(asked.map(({ index }) => index)).toEqual([undefined, '5', '5', '6', '7', undefined, '3', '4']);
    expect(values()).toEqual(['a', 'b', 'c']);
    await query.close();
  });

  it('instant answers: the burst, then one in an interval', async () => {
    const { clock, asked, query } = run(Array.from({ length: 1000 }, (_, at) => answer('a', at + 1)));
    await clock.advance(10_000);
    expect(asked.length).toBeGreaterThanOrEqual(11);
    expect(asked.length).toBeLessThanOrEqual(13);
    await query.close();
  });

  it('after an error: a full read at once, told once, a pause, and the value told again', async () => {
    const { clock, asked, values, query } = run(
      [answer('a', 5), new Error('cut'), new Error('first'), new Error('first'), new Error('second'), answer('a', 5)],
      { burst: 100 },
    );
    await clock.advance(10_000);
    expect(asked.slice(0, 5).map(({ index }) => index)).toEqual([undefined, '5', undefined, undefined, undefined]);
    expect(values().map((value) => value?.replace(/^.*: /, ''))).toEqual(['a', 'first', 'second', 'a']);
    const pauses = asked.slice(3, 6).map(({ at }, index) => at - (asked[index + 2]?.at ?? 0));
    expect(asked[2]?.at).toBe(asked[1]?.at);
    for (const pause of pauses) expect(pause).toBeGreaterThan(90);
    await query.close();
  });

  it('a refresh breaks the waiting off, reads fully and tells, changed or not', async () => {
    const answers = [answer('a', 5)];
    const { clock, asked, values, query } = run(answers, { burst: 100 });
    await clock.advance(10);
    expect(asked.map(({ index }) => index)).toEqual([undefined, '5']);
    answers.push(answer('a', 5));
    const refreshed = query.refresh();
    await clock.advance(10);
    await refreshed;
    expect(asked.map(({ index }) => index)).toEqual([undefined, '5', undefined, '5']);
    expect(values()).toEqual(['a', 'a']);
    await query.close();
    await expect(query.refresh()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    expect(clock.pending).toBe(0);
  });
});

describe('a blocking query that is cut', () => {
  /** Every question that waits is cut after `cutMs`; ordinary ones are answered with `value`. */
  const cut = (cutMs: number) => {
    const clock = new ManualClock();
    const state = { value: 'a', waited: 0, read: 0 };
    const outcomes: string[] = [];
    const reports: FeedReport<string>[] = [];
    const feed = openFeed(
      blockingSource<string, string>({
        what: 'it',
        settings: { waitMs: 60_000, burst: 2, minIntervalMs: 500, maxBackoffMs: 30_000 },
        budget: new WatchBudget(10, () => {}),
        ask: async ({ watch: waits, signal }) => {
          if (waits === undefined) {
            state.read += 1;
            return answer(state.value, 5);
          }
          state.waited += 1;
          await sleep(clock, cutMs, signal);
          throw new Error('504');
        },
        decode: (value, _, previous) => (value === previous ? previous : value),
      }),
      {
        clock,
        random: () => 0.5,
        backend: 'consul',
        onOutcome: (error) => outcomes.push(error?.message ?? 'ok'),
        onListenerError: () => {},
      },
      (report) => reports.push(report),
    );
    return { clock, state, outcomes, reports, feed };
  };

  it('is confirmed by an ordinary read before anybody hears of it, which brings what changed', async () => {
    const { clock, state, outcomes, reports, feed } = cut(10_000);
    await clock.advance(35_000);
    expect([state.waited, state.read]).toEqual([4, 4]);
    state.value = 'b';
    await clock.advance(10_000);
    expect(reports).toEqual([{ value: 'a' }, { value: 'b' }]);
    expect(new Set(outcomes)).toEqual(new Set(['ok']));
    await feed.close();
  });

  it('as soon as it is asked, each time: asked less and less often, and still no outage', async () => {
    const { clock, state, reports, feed } = cut(0);
    await clock.advance(600_000);
    expect(state.waited).toBeGreaterThan(20);
    expect(state.waited).toBeLessThan(60);
    expect(reports).toEqual([{ value: 'a' }]);
    await feed.close();
    expect(clock.pending).toBe(0);
  });
});

describe('a blocking query that is told that the server is silent', () => {
  it('asks anew at once, and only once: what is under way finds out by itself', async () => {
    const clock = new ManualClock();
    const asked: (string | undefined)[] = [];
    let aborted = 0;
    const source: BlockingQueryOptions<string, string> = {
      what: 'it',
      settings: { waitMs: 60_000, burst: 10, minIntervalMs: 1000, maxBackoffMs: 1000 },
      budget: new WatchBudget(10, () => {}),
      ask: ({ watch, signal }: { watch?: Blocking; signal?: AbortSignal }) => {
        asked.push(Array.isArray(watch) ? String(watch[0]) : undefined);
        if (asked.length === 1) return Promise.resolve(answer('a', 5));
        return new Promise((_, reject) =>
          signal?.addEventListener('abort', () => {
            aborted += 1;
            reject(new Error('aborted'));
          }),
        );
      },
      decode: (value) => value,
    };
    const query = watch(clock, source, () => {});
    await clock.advance(10);
    expect(asked).toEqual([undefined, '5']);
    for (let times = 0; times < 5; times += 1) {
      query.recheck();
      await clock.advance(10);
    }
    expect(asked).toEqual([undefined, '5', undefined]);
    expect(aborted).toBe(1);
    await query.close();
  });
});

describe('connections that are shared', () => {
  it('with more watches than connections, each waits so that all get a turn', () => {
    let told = 0;
    let rebalanced = 0;
    const budget = new WatchBudget(4, () => (told += 1));
    const watches = Array.from({ length: 8 }, () => ({ rebalance: () => (rebalanced += 1) }));
    watches.slice(0, 4).forEach((watch) => budget.add(watch));
    expect(budget.waitMs(60_000)).toBe(60_000);
    watches.slice(4).forEach((watch) => budget.add(watch));
    expect([told, rebalanced, budget.waitMs(60_000)]).toEqual([1, 4, 5000]);
    expect(budget.waitMs(2000)).toBe(2000);
    watches.slice(4).forEach((watch) => budget.remove(watch));
    expect(budget.waitMs(60_000)).toBe(60_000);
  });
});
