import { expect, it } from 'vitest';
import {
  Host,
  keepDocuments,
  SharedFeed,
  silentLogger,
  textDocument,
  type FeedReport,
} from '../../../lib/backend/index.js';
import { DiscoveryError } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, noUnhandledRejections, rejectionOf, turn, watchPromise } from './helpers.js';

noUnhandledRejections();

type Word = FeedReport<string>;
const down = new DiscoveryError('BACKEND_UNAVAILABLE', 'down');

/** A shared feed, and the one that is behind it. */
function setUp() {
  const behind = { opened: 0, closed: 0, asked: 0, answer: async (): Promise<void> => {}, closing: Promise.resolve() };
  let tell: (word: Word) => void = () => {};
  const shared = new SharedFeed<string>((report) => {
    behind.opened += 1;
    tell = report;
    return {
      refresh: () => {
        behind.asked += 1;
        return behind.answer();
      },
      close: async () => {
        behind.closed += 1;
        await behind.closing;
      },
    };
  });
  const heard: string[] = [];
  const listener =
    (name: string) =>
    ({ value, error }: Word): void =>
      void heard.push(`${name} ${value ?? `! ${error?.message}`}`);
  return { behind, shared, heard, listener, tell: (word: Word) => tell(word) };
}

it('is opened with the first and closed with the last, who waits for its end; then anew', async () => {
  const { behind, shared, listener, tell } = setUp();
  const ended = deferred();
  behind.closing = ended.promise;
  const [one, two] = [shared.join(listener('one')), shared.join(listener('two'))];
  tell({ value: 'a' });
  await one();
  await one();
  expect([behind.opened, behind.closed, shared.value]).toEqual([1, 0, 'a']);
  const left = watchPromise(two());
  await turn();
  expect([behind.closed, left.state, shared.value]).toEqual([1, 'pending', undefined]);
  ended.resolve();
  await turn();
  expect(left.state).toBe('resolved');
  // Nobody is there to be asked for.
  await shared.refresh();
  expect(behind.asked).toBe(0);
  shared.join(listener('three'));
  expect(behind.opened).toBe(2);
});

it('who joins is told what is known, and nobody else is', async () => {
  const { behind, shared, heard, listener, tell } = setUp();
  shared.join(listener('one'));
  tell({ value: 'a' });
  shared.join(listener('two'));
  expect(heard).toEqual(['one a', 'two a']);
  expect(behind.asked).toBe(0);
});

it('who joins in an outage has it asked anew, as a feed of its own would', async () => {
  const { behind, shared, heard, listener, tell } = setUp();
  shared.join(listener('one'));
  tell({ error: down });
  behind.answer = async () => tell({ value: 'a' });
  shared.join(listener('two'));
  await turn();
  expect(heard).toEqual(['one ! down', 'two ! down', 'one a', 'two a']);
  expect([shared.value, shared.error]).toEqual(['a', undefined]);
  behind.answer = () => Promise.reject(down);
  tell({ error: down });
  shared.join(listener('three'));
  await turn();
  expect(behind.asked).toBe(2);
});

it('its sources are watched each by itself: told of what concerns them, closed without waiting for the others', async () => {
  const { behind, shared, tell } = setUp();
  const clock = new ManualClock();
  const host = new Host('registry', { logger: silentLogger, clock, random: () => 0.5, report: () => {} });
  const told: Record<string, string[]> = { a: [], b: [] };
  const open = (letter: 'a' | 'b') =>
    host.feed(
      shared.source(letter, (value) => (value.includes(letter) ? letter : '-')),
      ({ value, error }) => told[letter]?.push(value ?? `! ${error?.message}`),
    );
  const [a, b] = [open('a'), open('b')];
  for (const value of ['a', 'ab', 'b']) {
    tell({ value });
    await turn();
  }
  expect(told).toEqual({ a: ['a', '-'], b: ['-', 'b'] });
  behind.answer = () => new Promise(() => {});
  const refreshing = rejectionOf(a.refresh());
  await a.close();
  expect(await refreshing).toMatchObject({ code: 'BACKEND_CLOSED' });
  expect([behind.closed, clock.pending]).toEqual([0, 0]);
  await b.close();
  expect(behind.closed).toBe(1);
});

it('documents are the same only when they are read as the same format', () => {
  const before = [textDocument('app', '1', 'yaml', 'a: 1')];
  expect(keepDocuments(before, [textDocument('app', '1', 'yaml', 'a: 1')])).toBe(before);
  const after = [textDocument('app', '1', 'properties', 'a: 1')];
  expect(keepDocuments(before, after)).toBe(after);
});
