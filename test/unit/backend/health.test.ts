import { afterEach, describe, expect, it } from 'vitest';
import { Health } from '../../../lib/backend/driver/health.js';
import type { HealthHooks } from '../../../lib/backend/index.js';
import { DiscoveryError } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, noUnhandledRejections, type Deferred } from './helpers.js';

noUnhandledRejections();

const silence = new DiscoveryError('BACKEND_UNAVAILABLE', 'nobody answers');
const refusal = new DiscoveryError('BACKEND_REFUSED', 'no rights');
const noLeader = new DiscoveryError('BACKEND_UNAVAILABLE', 'there is no leader');

const stopping: Health[] = [];
afterEach(async () => {
  for (const health of stopping.splice(0)) await health.stop();
});

/** A health, and all that it showed and called. */
function setUp(hooks: HealthHooks = {}) {
  const clock = new ManualClock();
  const shown: (string | undefined)[] = [];
  const calls: string[] = [];
  const health = new Health({
    backend: 'registry',
    clock,
    random: () => 0.5,
    hooks: () => hooks,
    show: (reason) => shown.push(reason?.message),
    onSilence: () => calls.push('silence'),
    onBack: () => calls.push('back'),
  });
  stopping.push(health);
  return { clock, health, shown, calls };
}

/** A probe whose questions are answered by the test. */
function probing(more: Omit<HealthHooks, 'probe'> = {}) {
  const asked: Deferred<void>[] = [];
  const ask = (): Promise<void> => {
    const answer = deferred();
    asked.push(answer);
    return answer.promise;
  };
  const set = setUp({ ...more, probe: { ask, timeoutMs: () => 2000 } });
  const answer = async (error?: unknown): Promise<void> => {
    const last = asked.at(-1);
    if (error === undefined) last?.resolve();
    else last?.reject(error);
    await set.clock.settle();
  };
  return { ...set, asked, answer };
}

describe('the health of a backend', () => {
  it('that the session is lost explains everything else, and no late answer takes it back', () => {
    const { health, shown } = setUp();
    const [watch, lease] = [{}, {}];
    health.ok(health.session);
    health.failed(watch, refusal);
    health.failed(health.session, silence);
    expect(shown).toEqual([undefined, refusal.message, silence.message]);
    // Asked before the session was lost, answered after it.
    health.ok(watch);
    health.ok(lease);
    expect(shown.at(-1)).toBe(silence.message);
    health.ok(health.session);
    expect(shown.at(-1)).toBeUndefined();
  });

  it('what was cut off and answered again is no failure, but the server may have been away', () => {
    const { health, shown, calls } = setUp();
    health.cut(refusal);
    expect(calls).toEqual([]);
    health.cut(silence);
    expect(calls).toEqual(['back']);
    expect(shown).toEqual([]);
  });

  it('a session that is back doesn’t answer for a watch that still fails', () => {
    const { health, shown } = setUp();
    const watch = {};
    health.failed(health.session, silence);
    health.failed(watch, refusal);
    health.ok(health.session);
    expect(shown.at(-1)).toBe(refusal.message);
    health.ok(watch);
    expect(shown.at(-1)).toBeUndefined();
  });

  it('whoever is answered takes the probe’s silence back', async () => {
    const { health, shown, answer } = probing();
    health.start();
    await answer(silence);
    expect(shown).toEqual([silence.message]);
    health.ok({});
    expect(shown.at(-1)).toBeUndefined();
  });

  it('and whatever else met that silence may try again at once', async () => {
    const { health, calls, answer } = probing();
    health.start();
    const watch = {};
    health.failed(watch, silence);
    await answer(silence);
    expect(calls).not.toContain('back');
    // Somebody who had not failed is answered: the probe's silence is over with that.
    health.ok({});
    expect(calls.filter((call) => call === 'back')).toHaveLength(1);
    await answer();
  });

  it('an answer that the probe doesn’t like is taken back by the probe alone', async () => {
    const { clock, health, shown, asked, answer } = probing({
      isSilence: ({ message }) => message !== noLeader.message,
    });
    health.start();
    await answer(noLeader);
    health.ok({});
    expect(shown.at(-1)).toBe(noLeader.message);
    await clock.advance(600);
    expect(asked).toHaveLength(2);
    await answer();
    expect(shown.at(-1)).toBeUndefined();
  });

  it('when the last that failed has ended nobody knows: the probe asks, and only its answer makes ready', async () => {
    const { health, shown, asked, answer } = probing();
    health.start();
    await answer();
    const watch = {};
    health.failed(watch, refusal);
    // A refusal is an answer: nothing to find out.
    expect(asked).toHaveLength(1);
    health.gone(watch);
    expect(shown.at(-1)).toBe(refusal.message);
    await answer();
    expect(asked).toHaveLength(2);
    expect(shown.at(-1)).toBe(refusal.message);
    await answer();
    expect(shown.at(-1)).toBeUndefined();
  });

  it('the end of one that failed shows what is left: another that fails, or a session that is there', () => {
    const { health, shown } = setUp();
    const [one, other] = [{}, {}];
    health.ok(health.session);
    health.failed(one, refusal);
    health.failed(other, noLeader);
    health.gone(one);
    expect(shown.at(-1)).toBe(noLeader.message);
    health.gone(other);
    expect(shown.at(-1)).toBeUndefined();
    // Of one that didn't fail nothing is to be said.
    const before = shown.length;
    health.gone({});
    expect(shown).toHaveLength(before);
  });

  it('silence is told once for each that meets it, and has the probe ask at once', async () => {
    const { health, calls, asked, answer } = probing();
    health.start();
    await answer();
    const watch = {};
    health.failed(watch, silence);
    health.failed(watch, silence);
    await answer(silence);
    expect(asked).toHaveLength(2);
    await answer(silence);
    expect(calls).toEqual(['silence', 'silence']);
    health.failed({}, refusal);
    expect(calls).toEqual(['silence', 'silence']);
  });

  it('it is back when what was silent answers, and not when what was refused is allowed', () => {
    const { health, calls } = setUp();
    const [silent, refused] = [{}, {}];
    health.failed(silent, silence);
    health.failed(refused, refusal);
    health.ok(refused);
    health.ok({});
    expect(calls).toEqual(['silence']);
    health.ok(silent);
    health.ok(silent);
    expect(calls).toEqual(['silence', 'back']);
  });

  it('what is no error of ours is a server that doesn’t answer', () => {
    const { health, shown, calls } = setUp();
    health.failed({}, new Error('ECONNRESET'));
    expect(shown).toEqual(['ECONNRESET']);
    expect(calls).toEqual(['silence']);
  });

  it('stopped, it asks no more and leaves no timer', async () => {
    const { clock, health, asked, answer } = probing();
    health.start();
    await answer(silence);
    expect(clock.pending).toBe(1);
    await health.stop();
    expect(clock.pending).toBe(0);
    await clock.advance(60_000);
    expect(asked).toHaveLength(1);
  });
});
