import { expect, it } from 'vitest';
import { Skips } from '../../../lib/backend/driver/skips.js';
import { DiscoveryError, type DiscoveryEvent } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

type Skipped = Extract<DiscoveryEvent, { type: 'record.skipped' }>;

function setUp() {
  const clock = new ManualClock();
  const events: Skipped[] = [];
  const skips = new Skips({
    backend: 'registry',
    clock,
    report: (event) => {
      if (event.type === 'record.skipped') events.push(event);
    },
  });
  return { clock, events, skips };
}

it('tells of a record once, and again when its problem or its version is another', () => {
  const { events, skips } = setUp();
  for (let push = 0; push < 3; push += 1) skips.skip('ORDERS/1', 'has no port');
  skips.skip('ORDERS/1', 'has no host');
  for (const version of ['1', '1', '2']) skips.skip('app.yaml', 'is no YAML', version, 'CONFIG_DOCUMENT_INVALID');
  expect(events.map(({ record, error }) => `${record} ${error.code} ${error.message}`)).toEqual([
    'ORDERS/1 INVALID_INSTANCE ORDERS/1 was left out: has no port',
    'ORDERS/1 INVALID_INSTANCE ORDERS/1 was left out: has no host',
    'app.yaml CONFIG_DOCUMENT_INVALID app.yaml was left out: is no YAML',
    'app.yaml CONFIG_DOCUMENT_INVALID app.yaml was left out: is no YAML',
  ]);
  expect(events[0]).toMatchObject({ type: 'record.skipped', backend: 'registry', error: { backend: 'registry' } });
});

it('hands an error of ours on as it is', () => {
  const { events, skips } = setUp();
  const error = new DiscoveryError('INVALID_NAME', 'a name with a slash');
  skips.skip('A/B', error);
  expect(events[0]?.error).toBe(error);
});

it('1,200 bad records pushed 10 times are 1,001 events: each of the first, and that there are more', () => {
  const { events, skips } = setUp();
  for (let push = 0; push < 10; push += 1) {
    for (let record = 0; record < 1200; record += 1) skips.skip(`BAD/${record}`, 'is nonsense');
  }
  expect(events).toHaveLength(1001);
  expect(new Set(events.map(({ record }) => record)).size).toBe(1001);
  expect(events[999]?.error.message).toBe('BAD/999 was left out: is nonsense');
  expect(events[1000]?.error.message).toContain('more than 1000 records were left out');
  expect(events[1000]?.error.cause).toMatchObject({ message: 'BAD/1000 was left out: is nonsense' });
});

it('two bad records of one name don’t make each other news', () => {
  const { events, skips } = setUp();
  for (let push = 0; push < 10; push += 1) {
    skips.skip('ORDERS/?', 'is null');
    skips.skip('ORDERS/?', 'is a text');
  }
  expect(events.map(({ error }) => error.message)).toEqual([
    'ORDERS/? was left out: is null',
    'ORDERS/? was left out: is a text',
  ]);
});

it('what strangers wrote can’t write into a log, and is told apart all the same', () => {
  const { events, skips } = setUp();
  skips.skip('A/\n[ERROR] all is lost', 'is nonsense');
  skips.skip('A/\\u000a[ERROR] all is lost', 'is nonsense');
  expect(events.map(({ record }) => record)).toEqual(['A/\\u000a[ERROR] all is lost', 'A/\\u000a[ERROR] all is lost']);
  expect(events[0]?.error.message).not.toContain('\n');
});

it('forgets after an hour, so that what stays bad is told again and a full memory is empty', async () => {
  const { clock, events, skips } = setUp();
  for (let record = 0; record < 1200; record += 1) skips.skip(`BAD/${record}`, 'is nonsense');
  await clock.advance(3_600_000);
  skips.skip('BAD/0', 'is nonsense');
  expect(events).toHaveLength(1001);
  await clock.advance(1);
  skips.skip('BAD/0', 'is nonsense');
  skips.skip('NEW/0', 'is nonsense');
  expect(events.slice(1001).map(({ record }) => record)).toEqual(['BAD/0', 'NEW/0']);
  // The hour begins anew.
  await clock.advance(3_600_000);
  skips.skip('BAD/0', 'is nonsense');
  expect(events).toHaveLength(1003);
});
