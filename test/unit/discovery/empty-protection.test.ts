import { describe, expect, it } from 'vitest';
import type { DiscoveryReport } from '../../../lib/backend/index.js';
import { EmptyProtection } from '../../../lib/discovery/index.js';
import { DiscoveryError } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { instance } from '../model/helpers.js';
import { deferred, noUnhandledRejections, turn } from '../backend/helpers.js';

noUnhandledRejections();

const some: DiscoveryReport = { instances: [instance()] };
const none: DiscoveryReport = { instances: [] };
const failed: DiscoveryReport = { error: new DiscoveryError('BACKEND_UNAVAILABLE', 'down') };

function setUp(confirm?: (protection: EmptyProtection) => Promise<void>, askEveryMs?: number) {
  const clock = new ManualClock();
  const got: string[] = [];
  let asked = 0;
  const protection: EmptyProtection = new EmptyProtection({
    clock,
    holdMs: 1000,
    ...(askEveryMs === undefined ? {} : { askEveryMs }),
    confirm: () => {
      asked += 1;
      return (confirm ?? (async () => protection.receive(none)))(protection);
    },
    deliver: (report) => got.push(report.instances === undefined ? 'error' : String(report.instances.length)),
  });
  return { clock, protection, got, asked: () => asked };
}

describe('EmptyProtection (R23)', () => {
  it('believes an empty list that follows nothing, and every list that is not empty', async () => {
    const { protection, got, clock } = setUp();
    for (const report of [none, none, some, some]) protection.receive(report);
    expect(got).toEqual(['0', '0', '1', '1']);
    expect(clock.pending).toBe(0);
  });

  it('holds an empty list after one that was not, asks for itself, and then accepts it', async () => {
    const { protection, got, clock, asked } = setUp();
    protection.receive(some);
    protection.receive(none);
    await clock.advance(999);
    expect(got).toEqual(['1']);
    expect(asked()).toBe(0);
    await clock.advance(1);
    expect(asked()).toBe(1);
    expect(got).toEqual(['1', '0']);
    expect(clock.pending).toBe(0);
    // Now nothing is doubtful any more.
    protection.receive(none);
    expect(got).toEqual(['1', '0', '0']);
    protection.receive(some);
    protection.receive(none);
    expect(got).toEqual(['1', '0', '0', '1']);
    protection.close();
  });

  it('asks again and again while it holds, and believes no answer before the time is over', async () => {
    const { protection, got, clock, asked } = setUp(undefined, 300);
    protection.receive(some);
    protection.receive(none);
    await clock.advance(999);
    expect([asked(), got]).toEqual([3, ['1']]);
    await clock.advance(1);
    expect([asked(), got]).toEqual([4, ['1', '0']]);
    expect(clock.pending).toBe(0);
    // Doubted anew, for as long as before.
    protection.receive(some);
    protection.receive(none);
    await clock.advance(999);
    expect([asked(), got]).toEqual([7, ['1', '0', '1']]);
    protection.receive(some);
    expect(clock.pending).toBe(0);
  });

  it('believes the first answer after an outage that lasted longer than the time', async () => {
    let down = true;
    const { protection, got, clock, asked } = setUp(async (one) => {
      if (down) throw new Error('down');
      one.receive(none);
    }, 300);
    protection.receive(some);
    protection.receive(none);
    await clock.advance(10_000);
    expect(got).toEqual(['1']);
    const before = asked();
    down = false;
    await clock.advance(300);
    expect([asked() - before, got]).toEqual([1, ['1', '0']]);
  });

  it('does not put the question off when more empty lists come', async () => {
    const { protection, got, clock, asked } = setUp();
    protection.receive(some);
    for (let i = 0; i < 10; i += 1) {
      protection.receive(none);
      await clock.advance(99);
    }
    expect(asked()).toBe(0);
    await clock.advance(10);
    expect(asked()).toBe(1);
    expect(got).toEqual(['1', '0']);
  });

  it.each<[string, (protection: EmptyProtection) => Promise<void>]>([
    [
      'rejects',
      async (protection) => {
        protection.receive(failed);
        throw new Error('down');
      },
    ],
    ['answers nothing', async () => {}],
    [
      'throws at once',
      () => {
        throw new Error('down');
      },
    ],
  ])('keeps holding, and asks again, while the question %s', async (_, confirm) => {
    let answering = false;
    const { protection, got, clock, asked } = setUp((one) => {
      if (!answering) return confirm(one);
      one.receive(none);
      return Promise.resolve();
    });
    protection.receive(some);
    protection.receive(none);
    await clock.advance(3500);
    expect(asked()).toBe(3);
    expect(got.filter((one) => one !== 'error')).toEqual(['1']);
    expect(clock.pending).toBe(1);
    answering = true;
    await clock.advance(500);
    expect(got.at(-1)).toBe('0');
    expect(clock.pending).toBe(0);
  });

  it('is released by a list that is not empty, while it holds and while it asks', async () => {
    const holding = setUp();
    holding.protection.receive(some);
    holding.protection.receive(none);
    holding.protection.receive(some);
    expect(holding.clock.pending).toBe(0);
    await holding.clock.advance(5000);
    expect(holding.got).toEqual(['1', '1']);
    expect(holding.asked()).toBe(0);

    const asking = setUp(async (protection) => {
      protection.receive(none);
      protection.receive(some);
    });
    asking.protection.receive(some);
    asking.protection.receive(none);
    await asking.clock.advance(1000);
    expect(asking.got).toEqual(['1', '1']);
    expect(asking.clock.pending).toBe(0);
    // And the next empty list is doubted anew.
    asking.protection.receive(none);
    expect(asking.clock.pending).toBe(1);
    asking.protection.close();
  });

  it('is not confused by the late end of a question that was overtaken', async () => {
    const answers = [deferred(), deferred()];
    let question = 0;
    const { protection, got, clock, asked } = setUp(() => (answers[question++] ?? deferred()).promise);
    protection.receive(some);
    protection.receive(none);
    await clock.advance(1000);
    protection.receive(some);
    protection.receive(none);
    await clock.advance(1000);
    expect(asked()).toBe(2);
    // The first question ends; only the second one's answer counts.
    answers[0]?.resolve();
    await turn();
    protection.receive(none);
    answers[1]?.resolve();
    await turn();
    expect(got).toEqual(['1', '1', '0']);
    expect(clock.pending).toBe(0);
  });

  it('lets errors through, and holds on', async () => {
    const { protection, got, clock } = setUp();
    protection.receive(some);
    protection.receive(none);
    protection.receive(failed);
    expect(got).toEqual(['1', 'error']);
    await clock.advance(1000);
    expect(got).toEqual(['1', 'error', '0']);
  });

  it('forgets everything with close(), while it holds and while it asks', async () => {
    const holding = setUp();
    holding.protection.receive(some);
    holding.protection.receive(none);
    holding.protection.close();
    expect(holding.clock.pending).toBe(0);
    holding.protection.receive(some);
    await holding.clock.advance(5000);
    expect(holding.got).toEqual(['1']);

    const answer = deferred();
    const asking = setUp(() => answer.promise);
    asking.protection.receive(some);
    asking.protection.receive(none);
    await asking.clock.advance(1000);
    asking.protection.receive(none);
    asking.protection.close();
    answer.resolve();
    await asking.clock.advance(5000);
    expect(asking.got).toEqual(['1']);
    expect(asking.clock.pending).toBe(0);
  });
});
