import { describe, expect, it } from 'vitest';
import {
  allOf,
  Host,
  silentLogger,
  type FeedReport,
  type Gathering,
  type Part,
  type PushSource,
  type Watch,
} from '../../../lib/backend/index.js';
import { DiscoveryError, type DiscoveryEvent } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, noUnhandledRejections, rejectionOf, turn, watchPromise } from './helpers.js';

noUnhandledRejections();

const down = new DiscoveryError('BACKEND_UNAVAILABLE', 'down');

/** A source that says what the test wants. */
class Scripted {
  value: (value: string) => void = () => {};
  failed: (error: unknown) => void = () => {};
  /** What it says when it is asked. */
  answer: () => Promise<void> = async () => {};
  ended = 0;

  constructor(readonly name: string) {}

  source(): PushSource<string> {
    return {
      what: this.name,
      follow: ({ value, failed }) => {
        this.value = value;
        this.failed = failed;
        return () => {
          this.ended += 1;
        };
      },
      refresh: () => this.answer(),
    };
  }
}

type Options = Partial<Omit<Gathering<string, string>, 'sources' | 'what'>>;

/** Two sources told of as one. */
function gathered(options: Options = {}) {
  const clock = new ManualClock();
  const events: DiscoveryEvent[] = [];
  const host = new Host('registry', {
    logger: silentLogger,
    clock,
    random: () => 0.5,
    report: (event) => events.push(event),
  });
  const [one, two] = [new Scripted('one'), new Scripted('two')];
  const told: string[] = [];
  const watch: Watch = host.gather<string, string>(
    {
      what: 'both',
      sources: [one.source(), two.source()],
      combine: (parts) => allOf(parts)?.join(' '),
      ...options,
    },
    (report: FeedReport<string>) => told.push(report.error === undefined ? report.value : `! ${report.error.message}`),
  );
  return { clock, events, host, one, two, told, watch };
}

/** What is known of each part, whatever else fails. */
const known = (parts: readonly Part<string>[]): string => parts.map(({ value }) => value ?? '?').join(' ');

describe('allOf', () => {
  it('is the values of all, in their order', () => {
    expect(allOf([{ value: 1 }, { value: 2 }])).toEqual([1, 2]);
    expect(allOf([])).toEqual([]);
  });

  it('is nothing while one has said nothing', () => {
    expect(allOf([{ value: 1 }, {}])).toBeUndefined();
  });

  it('is the first failure, also of one whose value is known, and while another has said nothing', () => {
    const other = new DiscoveryError('BACKEND_REFUSED', 'refused');
    expect(() => allOf([{}, { value: 1, error: down }, { error: other }])).toThrow(down);
  });
});

describe('a gathering', () => {
  it('tells when all are known, then every change; nothing twice', async () => {
    const { one, two, told } = gathered();
    one.value('a');
    await turn();
    expect(told).toEqual([]);
    two.value('b');
    await turn();
    expect(told).toEqual(['a b']);
    one.value('c');
    two.value('b');
    await turn();
    expect(told).toEqual(['a b', 'c b']);
  });

  it('tells a part’s failure, keeps what it knew, and tells the whole again when that is over', async () => {
    const { one, two, told } = gathered();
    one.value('a');
    two.value('b');
    await turn();
    two.failed(down);
    one.value('c');
    await turn();
    expect(told).toEqual(['a b', '! down']);
    two.value('b');
    await turn();
    expect(told).toEqual(['a b', '! down', 'c b']);
  });

  it('one part’s failure is heard though the whole goes on without it', async () => {
    const heard: string[] = [];
    const { one, two, told } = gathered({
      combine: known,
      patienceMs: 1000,
      heard: ({ value, error }, parts) => heard.push(`${value ?? error?.message} of ${known(parts)}`),
    });
    one.value('a');
    two.failed(down);
    await turn();
    expect(heard).toEqual(['a of a ?', 'down of a ?']);
    expect(told).toEqual(['a ?']);
    two.value('b');
    two.failed(down);
    await turn();
    // What it knew is known on.
    expect(heard.slice(2)).toEqual(['b of a b', 'down of a b']);
    expect(told).toEqual(['a ?', 'a b']);
  });

  it('waits for the others as long as its patience lasts, once one has a value', async () => {
    const { clock, one, two, told } = gathered({ combine: known, patienceMs: 1000 });
    await clock.advance(5000);
    // A failure alone is no reason to hurry.
    two.failed(down);
    expect(clock.pending).toBe(0);
    const waiting = gathered({ combine: known, patienceMs: 1000 });
    waiting.one.value('a');
    await waiting.clock.advance(999);
    expect(waiting.told).toEqual([]);
    await waiting.clock.advance(1);
    expect(waiting.told).toEqual(['a ?']);
    waiting.two.value('b');
    await turn();
    expect(waiting.told).toEqual(['a ?', 'a b']);
    // All have spoken here: nobody is waited for.
    one.value('a');
    await turn();
    expect(told).toEqual(['a ?']);
  });

  it('without patience it is combined from the first word on', async () => {
    const { one, told } = gathered({ combine: known });
    one.value('a');
    await turn();
    expect(told).toEqual(['a ?']);
  });

  it('refresh asks all and tells once, changed or not', async () => {
    const { one, two, told, watch } = gathered();
    one.value('a');
    two.value('b');
    await turn();
    const answered = deferred();
    one.answer = async () => one.value('c');
    two.answer = async () => {
      await answered.promise;
      two.value('d');
    };
    const refreshed = watchPromise(watch.refresh());
    await turn();
    expect([told, refreshed.state]).toEqual([['a b'], 'pending']);
    answered.resolve();
    await turn();
    expect([told, refreshed.state]).toEqual([['a b', 'c d'], 'resolved']);
    one.answer = two.answer = async () => {};
    await watch.refresh();
    expect(told).toEqual(['a b', 'c d', 'c d']);
  });

  it('refresh ends the patience', async () => {
    const { clock, one, two, told, watch } = gathered({ combine: known, patienceMs: 1000 });
    one.answer = async () => one.value('a');
    two.answer = () => Promise.reject(down);
    await watch.refresh();
    expect(told).toEqual(['a ?']);
    await watch.close();
    expect(clock.pending).toBe(0);
  });

  it('refresh fails with what combining makes of the parts’ failures, and that is told', async () => {
    const { one, two, told, watch } = gathered();
    one.value('a');
    two.value('b');
    await turn();
    two.answer = () => Promise.reject(down);
    expect(await rejectionOf(watch.refresh())).toMatchObject({ code: 'BACKEND_UNAVAILABLE', message: 'down' });
    expect(told).toEqual(['a b', '! down']);
    await watch.close();
  });

  it('what combining throws is the failure, ours as it is, any other as one of ours', async () => {
    let thrown: Error | undefined = new Error('no sense in it');
    const { one, told, watch } = gathered({
      combine: (parts) => {
        if (thrown !== undefined) throw thrown;
        return known(parts);
      },
    });
    one.value('a');
    await turn();
    expect(told).toEqual([expect.stringContaining("both can't be read")]);
    expect(await rejectionOf(watch.refresh())).toMatchObject({ code: 'BACKEND_UNAVAILABLE', cause: thrown });
    thrown = down;
    one.value('b');
    await turn();
    expect(told.at(-1)).toBe('! down');
    thrown = undefined;
    one.value('c');
    await turn();
    expect(told.at(-1)).toBe('c ?');
  });

  it('of nothing it tells soon what combining makes of nothing', async () => {
    const { told } = gathered({ sources: [], combine: () => 'nothing' } as Options);
    expect(told).toEqual([]);
    await turn();
    expect(told).toEqual(['nothing']);
  });

  it('a throwing receiver is told of, and hears the next', async () => {
    const clock = new ManualClock();
    const events: DiscoveryEvent[] = [];
    const report = (event: DiscoveryEvent): void => void events.push(event);
    const host = new Host('registry', { logger: silentLogger, clock, random: () => 0.5, report });
    const one = new Scripted('one');
    const told: unknown[] = [];
    host.gather<string, string>({ what: 'it', sources: [one.source()], combine: known }, ({ value }) => {
      told.push(value);
      throw new Error('the receiver');
    });
    one.value('a');
    await turn();
    one.value('b');
    await turn();
    expect(told).toEqual(['a', 'b']);
    expect(events.map(({ type }) => type)).toEqual(['listener.failed', 'listener.failed']);
    await host.close();
  });

  it.each(['the watch', 'its backend'])(
    'closed with %s: nothing more is told, no timer and no source is left',
    async (what) => {
      const { clock, host, one, two, told, watch } = gathered({ combine: known, patienceMs: 1000 });
      one.value('a');
      await turn();
      expect(clock.pending).toBe(1);
      two.answer = () => new Promise(() => {});
      const refreshing = rejectionOf(watch.refresh());
      const closing = (what === 'the watch' ? watch : host).close();
      expect(await refreshing).toMatchObject({ code: 'BACKEND_CLOSED' });
      // One that ignores its signal is given time.
      await clock.advance(5000);
      await closing;
      one.value('b');
      await clock.advance(60_000);
      expect(told).toEqual([]);
      expect([one.ended, two.ended, clock.pending]).toEqual([1, 1, 0]);
      expect(await rejectionOf(watch.refresh())).toMatchObject({ code: 'BACKEND_CLOSED', backend: 'registry' });
    },
  );
});
