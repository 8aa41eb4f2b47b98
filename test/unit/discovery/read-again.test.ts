import { afterEach, expect, it } from 'vitest';
import {
  allOf,
  openFeed,
  SharedFeed,
  type DiscoveryDriver,
  type FeedReport,
  type PullSource,
  type PushSource,
  type Watch,
} from '../../../lib/backend/index.js';
import { GatheredFeed } from '../../../lib/backend/driver/index.js';
import { Balancers } from '../../../lib/balancing/index.js';
import { DiscoveryClient, ServiceViews } from '../../../lib/discovery/index.js';
import { DiscoveryError, messageOf, type ServiceInstance } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

type Instances = readonly ServiceInstance[];
type Hearing = (report: FeedReport<Instances>) => void;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A registry that is read every 30 s, in each of the ways in which drivers read one. */
function registry(clock: ManualClock) {
  const server = { down: false, reads: 0 };
  const source: PullSource<Instances> = {
    what: 'the instances of S',
    everyMs: 30_000,
    retry: { initialMs: 4000, maxMs: 4000 },
    read: async () => {
      server.reads += 1;
      if (server.down) throw new DiscoveryError('BACKEND_UNAVAILABLE', 'the registry is down');
      return [];
    },
  };
  const home = { clock, random: () => 0, backend: 'polled', onListenerError: () => {} };
  const shared = new SharedFeed<Instances>((report) => openFeed(source, home, report));
  const pushed: PushSource<Instances> = {
    what: source.what,
    follow: ({ value }) => {
      value([]);
      return () => {};
    },
    refresh: async () => {},
  };
  const ways = {
    alone: (report) => openFeed(source, home, report),
    shared: (report) =>
      openFeed(
        shared.source(source.what, (all) => all),
        home,
        report,
      ),
    gathered: (report) =>
      new GatheredFeed(
        { what: source.what, sources: [source], combine: (parts) => allOf(parts)?.flat() },
        home,
        (one, hear) => openFeed(one, home, hear),
        report,
      ),
    told: (report) => openFeed(pushed, home, report),
  } satisfies Record<string, (report: Hearing) => Watch>;
  return { server, ways };
}

function clientOf(clock: ManualClock, open: (report: Hearing) => Watch) {
  const driver: DiscoveryDriver = {
    listServices: async () => [],
    watch: (_service, report) =>
      open(({ value, error }) => report(error === undefined ? { instances: value } : { error })),
  };
  const sources = [{ backend: 'polled', driver }];
  const views = new ServiceViews({ clock, sources, report: () => {}, lingerMs: 1e9 });
  closing.push(() => views.close());
  return new DiscoveryClient({
    views,
    sources,
    firstSnapshotTimeoutMs: 1000,
    balancers: new Balancers({ now: () => clock.now(), random: () => 0, clientId: 'c' }),
    routeFor: () => ({ balancing: 'round-robin', routing: {}, ejection: {} }),
  });
}

const failureOf = (question: Promise<unknown>): Promise<string> =>
  question.then(
    () => 'it was answered',
    (error: unknown) => messageOf(error),
  );

it.each(['alone', 'shared', 'gathered'] as const)(
  'a list that is read %s: its error says when it is read again',
  async (way) => {
    const clock = new ManualClock();
    const { server, ways } = registry(clock);
    const client = clientOf(clock, ways[way]);
    expect(await failureOf(client.choose('S'))).toContain('(said 0 s ago; it is read again in 30 s)');
    await clock.advance(12_000);
    expect(await failureOf(client.choose('S'))).toContain('(said 12 s ago; it is read again in 18 s)');
    expect(server.reads).toBe(1);
    server.down = true;
    await clock.advance(18_000);
    expect(await failureOf(client.choose('S'))).toMatch(
      /\(said 30 s ago, as of before the .*; it is asked again in 1 s\)/,
    );
    server.down = false;
    await clock.advance(800);
    expect(await failureOf(client.choose('S'))).toContain('(said 0 s ago; it is read again in 30 s)');
  },
);

it('a list that nobody could read yet: its error says when it is tried again', async () => {
  const clock = new ManualClock();
  const { server, ways } = registry(clock);
  server.down = true;
  const client = clientOf(clock, ways.alone);
  expect(await failureOf(client.choose('S'))).toBe(
    "the instances of S aren't known yet: the registry is down; it is asked again in 1 s",
  );
});

it('a list that is told: its error promises no time', async () => {
  const clock = new ManualClock();
  const client = clientOf(clock, registry(clock).ways.told);
  expect(await failureOf(client.choose('S'))).toContain(
    '(said 0 s ago; the registry is watched, and its next word is used at once)',
  );
});
