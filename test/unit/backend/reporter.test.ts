import { describe, expect, it } from 'vitest';
import { Reporter } from '../../../lib/backend/index.js';
import { noUnhandledRejections, turn, watchPromise } from './helpers.js';

noUnhandledRejections();

describe('Reporter', () => {
  it('delivers soon, in order, never synchronously', async () => {
    const got: number[] = [];
    const reporter = new Reporter<number>(
      (report) => got.push(report),
      () => {},
    );
    const sent = [1, 2, 3].map((report) => reporter.send(report));
    expect(got).toEqual([]);
    await sent[0];
    expect(got).toContain(1);
    await Promise.all(sent);
    expect(got).toEqual([1, 2, 3]);
  });

  it('is not entered again by what the receiver sends', async () => {
    const got: string[] = [];
    let inside = false;
    const reporter = new Reporter<number>(
      (report) => {
        expect(inside).toBe(false);
        inside = true;
        if (report < 3) void reporter.send(report + 1);
        got.push(`r${report}`);
        inside = false;
      },
      () => {},
    );
    await reporter.send(1);
    await turn();
    expect(got).toEqual(['r1', 'r2', 'r3']);
  });

  it('isolates a receiver that throws: told, and the next report comes', async () => {
    const errors: unknown[] = [];
    const got: number[] = [];
    const broken = new Error('broken');
    const reporter = new Reporter<number>(
      (report) => {
        if (report === 1) throw broken;
        got.push(report);
      },
      (error) => errors.push(error),
    );
    await Promise.all([reporter.send(1), reporter.send(2)]);
    expect(got).toEqual([2]);
    expect(errors).toEqual([broken]);
  });

  it('delivers nothing after close(), and lets nobody wait', async () => {
    const got: number[] = [];
    const reporter = new Reporter<number>(
      (report) => got.push(report),
      () => {},
    );
    const sent = watchPromise(reporter.send(1));
    reporter.close();
    await reporter.send(2);
    await turn();
    expect(sent.state).toBe('resolved');
    expect(got).toEqual([]);
  });

  it('delivers nothing more when it is closed by the receiver', async () => {
    const got: number[] = [];
    const reporter = new Reporter<number>(
      (report) => {
        got.push(report);
        reporter.close();
      },
      () => {},
    );
    const sent = [1, 2, 3].map((report) => watchPromise(reporter.send(report)));
    await turn();
    expect(got).toEqual([1]);
    expect(sent.every((one) => one.state === 'resolved')).toBe(true);
  });
});
