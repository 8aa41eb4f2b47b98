import { describe, expect, it } from 'vitest';
import { until, ValueView } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { abortListeners, noUnhandledRejections } from './helpers.js';

noUnhandledRejections();

function setUp() {
  const clock = new ManualClock(0);
  const view = new ValueView('red');
  const closing = new AbortController();
  const wait = (fits: (value: string) => boolean): Promise<boolean> =>
    until(view, fits, { clock, timeoutMs: 1000, signal: closing.signal });
  const leftovers = (): number => clock.pending + view.listenerCount + abortListeners(closing.signal);
  return { clock, view, closing, wait, leftovers };
}

describe('until', () => {
  it('answers at once when the value fits already', async () => {
    const { wait, leftovers } = setUp();
    await expect(wait((value) => value === 'red')).resolves.toBe(true);
    expect(leftovers()).toBe(0);
  });

  it('waits for the first value that fits, and for none after it', async () => {
    const { view, wait, leftovers } = setUp();
    const asked: string[] = [];
    const waiting = wait((value) => asked.push(value) > 0 && value === 'green');
    view.set('yellow');
    view.set('green');
    view.set('blue');
    await expect(waiting).resolves.toBe(true);
    expect(asked).toEqual(['red', 'yellow', 'green']);
    expect(leftovers()).toBe(0);
  });

  it('gives up when the time is over, and no sooner', async () => {
    const { clock, view, wait, leftovers } = setUp();
    let answer: boolean | undefined;
    const waiting = wait((value) => value === 'green').then((fitted) => (answer = fitted));
    view.set('yellow');
    await clock.advance(999);
    expect(answer).toBeUndefined();
    await clock.advance(1);
    await waiting;
    expect(answer).toBe(false);
    expect(leftovers()).toBe(0);
  });

  it('ends with its signal, also one that has aborted before', async () => {
    const { closing, wait, leftovers } = setUp();
    const waiting = wait((value) => value === 'green');
    closing.abort();
    await expect(waiting).resolves.toBe(false);
    await expect(wait((value) => value === 'green')).resolves.toBe(false);
    await expect(wait((value) => value === 'red')).resolves.toBe(true);
    expect(leftovers()).toBe(0);
  });
});
