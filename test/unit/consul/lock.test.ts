import { describe, expect, it } from 'vitest';
import { type ConsulClient, ConsulError } from '../../../lib/backends/consul/index.js';
import { HeldSession } from '../../../lib/backends/consul/consul.lock.js';
import { silentLogger } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

const refused = () => new ConsulError('unavailable', 'refused', { operation: 'PUT' });

/** A session of ten seconds whose renewals do as they are told. */
function held(renew: () => Promise<unknown>) {
  const clock = new ManualClock(0);
  const renewedAt: number[] = [];
  const destroyed: string[] = [];
  const client = {
    clock,
    session: {
      renew: () => {
        renewedAt.push(clock.now());
        return renew();
      },
      destroy: (id: string) => Promise.resolve(destroyed.push(id)),
    },
  };
  const session = new HeldSession(client as unknown as ConsulClient, 'id', 10_000, 0, () => 0, silentLogger);
  return { clock, renewedAt, destroyed, session };
}

describe('a session that is held', () => {
  it('is renewed at half of its TTL, for as long as it is wanted', async () => {
    const { clock, renewedAt, destroyed, session } = held(() => Promise.resolve([]));
    await clock.advance(60_000);
    expect(renewedAt.slice(0, 3)).toEqual([5000, 10_000, 15_000]);
    expect(session.lost.aborted).toBe(false);
    await session.end();
    expect(destroyed).toEqual(['id']);
    expect(clock.pending).toBe(0);
  });

  it('counts as lost when its TTL is over, after several tries', async () => {
    const { clock, renewedAt, session } = held(() => Promise.reject(refused()));
    await clock.advance(9999);
    expect(renewedAt.length).toBeGreaterThanOrEqual(4);
    expect(session.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(session.lost.reason).toMatchObject({ code: 'ABORTED' });
    await session.end();
    expect(clock.pending).toBe(0);
  });

  it('is lost at once when the servers say so', async () => {
    const { clock, session } = held(() =>
      Promise.reject(new ConsulError('not-found', 'gone', { operation: 'PUT', status: 404 })),
    );
    await clock.advance(5000);
    expect(session.lost.aborted).toBe(true);
    await session.end();
    expect(clock.pending).toBe(0);
  });

  it('ended between a renewal that failed and the next try: no timer is left', async () => {
    const { clock, session, renewedAt } = held(() => Promise.reject(refused()));
    await clock.advance(5100);
    expect(renewedAt).toEqual([5000]);
    await session.end();
    expect(clock.pending).toBe(0);
    await clock.advance(20_000);
    expect(renewedAt).toEqual([5000]);
    expect(session.lost.aborted).toBe(false);
  });
});
