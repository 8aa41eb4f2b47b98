import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FeedReport } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { FeedServer, KINDS, type Version } from './feed-server.js';
import { noUnhandledRejections, watchPromise } from './helpers.js';

noUnhandledRejections();

type Step =
  | { readonly do: 'change' | 'refresh' | 'recheck' | 'retry' }
  | { readonly do: 'become'; readonly state: 'up' | 'down' | 'silent'; readonly latencyMs: number }
  | { readonly do: 'wait'; readonly ms: number };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ do: 'change' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('refresh' as const, 'recheck' as const, 'retry' as const) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('become' as const),
      state: fc.constantFrom('up' as const, 'up' as const, 'down' as const, 'silent' as const),
      latencyMs: fc.constantFrom(0, 0, 7, 300),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 0, 1, 10, 60, 500, 4000) }),
  },
);

describe.each(KINDS)('a feed of a source that tells by %s, whatever happens in whatever order', (kind) => {
  it('ends with what the server has, reads once at a time, and leaves nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 30 }), fc.boolean(), async (steps, throws) => {
        const clock = new ManualClock(0);
        const server = new FeedServer(clock);
        const reports: FeedReport<Version>[] = [];
        let inside = false;
        let synchronous = true;
        const outcomes: string[] = [];
        const feed = server.open(
          kind,
          (report) => {
            expect(synchronous || inside).toBe(false);
            inside = true;
            reports.push(report);
            inside = false;
            if (throws) throw new Error('the listener');
          },
          outcomes,
        );
        synchronous = false;
        const refreshes: { readonly seen: ReturnType<typeof watchPromise>; readonly at: number }[] = [];
        for (const step of steps) {
          synchronous = true;
          switch (step.do) {
            case 'change':
              server.change();
              break;
            case 'refresh': {
              const { version } = server;
              const before = reports.length;
              const refreshed = feed.refresh().then(() => {
                // Its answer, or a newer one, was reported before it resolved.
                expect(reports.length).toBeGreaterThan(before);
                expect(reports.at(-1)?.value?.version).toBeGreaterThanOrEqual(version);
              });
              refreshes.push({ seen: watchPromise(refreshed), at: version });
              break;
            }
            case 'recheck':
              feed.recheck();
              break;
            case 'retry':
              feed.retry();
              break;
            case 'become':
              server.latencyMs = step.latencyMs;
              server.become(step.state);
              break;
            case 'wait':
              synchronous = false;
              await clock.advance(step.ms);
              break;
          }
          synchronous = false;
        }
        server.latencyMs = 0;
        server.become('up');
        await clock.advance(20_000);
        expect(reports.at(-1)).toEqual({ value: { version: server.version } });
        expect(outcomes.at(-1)).toBe('ok');
        expect(refreshes.every(({ seen }) => seen.times === 1)).toBe(true);
        if (kind !== 'push') expect(server.mostAtOnce).toBeLessThanOrEqual(1);
        // Nothing is told twice in a row, unless somebody asked.
        if (refreshes.length === 0) {
          const told = reports.map(({ value, error }) => error?.message ?? value?.version);
          expect(told.filter((one, at) => at > 0 && one === told[at - 1])).toEqual([]);
        }
        const late = watchPromise(feed.refresh());
        await feed.close();
        const count = reports.length;
        expect(late.state === 'pending').toBe(false);
        server.change();
        await clock.advance(10_000);
        expect(reports).toHaveLength(count);
        expect(outcomes.filter((outcome) => outcome === 'closed')).toHaveLength(1);
        expect(outcomes.at(-1)).toBe('closed');
        expect(clock.pending).toBe(0);
        expect(server.reading).toBe(0);
        expect(server.observed).toBe(0);
        await expect(feed.refresh()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      }),
      { numRuns: 400 },
    );
  });
});

describe('a feed that is closed while it reads', () => {
  it.each(KINDS)('%s: gives a reading that ignores its end a time limit, and tells nothing more', async (kind) => {
    const clock = new ManualClock(0);
    const server = new FeedServer(clock);
    server.state = 'silent';
    const reports: FeedReport<Version>[] = [];
    const feed = server.open(kind, (report) => reports.push(report));
    await clock.advance(10);
    const refreshed = watchPromise(feed.refresh());
    await clock.advance(10);
    const closed = watchPromise(feed.close());
    await clock.advance(10_000);
    expect(closed.state).toBe('resolved');
    expect(refreshed.state).toBe('rejected');
    expect(reports.every(({ value }) => value === undefined)).toBe(true);
    expect(clock.pending).toBe(0);
  });
});
