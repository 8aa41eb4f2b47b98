import { describe, expect, it } from 'vitest';
import { Host } from '../../../lib/backend/index.js';
import type { ConsulClient } from '../../../lib/backends/consul/index.js';
import { ConsulError } from '../../../lib/backends/consul/index.js';
import { renewalMs, resolveConsulOptions, type ConsulOptions } from '../../../lib/backends/consul/consul.options.js';
import { ConsulRegistryDriver } from '../../../lib/backends/consul/consul.registry.js';
import { createRegistration } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { createContext } from '../../contract/contract-harness.js';

type Pass = (signal: AbortSignal) => Promise<boolean>;

/** A lease at an agent whose passes of the TTL do as they are told; the last of them again and again. */
async function leaseWith(options: ConsulOptions, passes: readonly Pass[], random = 1) {
  const clock = new ManualClock(0);
  const passedAt: number[] = [];
  const registered: number[] = [];
  const client = {
    services: {
      register: () => Promise.resolve(registered.push(clock.now())),
      info: () => Promise.resolve({}),
      deregister: () => Promise.resolve(true),
    },
    checks: {
      list: () => Promise.resolve({}),
      mark: (_: string, __: string, { signal }: { readonly signal: AbortSignal }) => {
        passedAt.push(clock.now());
        // The first is that of the registration.
        const pass = passes[Math.min(passedAt.length, passes.length + 1) - 2] ?? ok;
        return pass(signal);
      },
    },
  };
  const host = new Host('consul', createContext([], { clock, random: () => random }));
  // What is asked of the client is all there.
  const driver = new ConsulRegistryDriver(host, client as unknown as ConsulClient, resolveConsulOptions(options));
  const lease = driver.register(createRegistration({ service: 'orders', host: '10.0.0.1', port: 1 }));
  await lease.registered;
  return { clock, passedAt, registered, lease };
}

const ok: Pass = () => Promise.resolve(true);
const refused: Pass = () => Promise.reject(new ConsulError('unavailable', 'refused', { operation: 'PUT' }));
const silent: Pass = (signal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true }));

const gaps = (times: readonly number[]): number[] => times.slice(1).map((at, index) => at - (times[index] ?? 0));

describe('a TTL of the registry', () => {
  it.each([
    [30_000, 20_000],
    [3000, 2000],
    [2400, 1400],
    [2000, 1000],
  ])('%d ms: passed every %d ms, at two thirds of it and a second before its end', async (ttlMs, everyMs) => {
    expect(renewalMs({ type: 'ttl', ttlMs }, 1)).toBe(everyMs);
    const { clock, passedAt, lease } = await leaseWith({ check: { type: 'ttl', ttlMs } }, [ok], 0);
    await clock.advance(ttlMs * 5);
    // Shortened by a tenth at most, by chance.
    for (const gap of gaps(passedAt)) expect(gap).toBeLessThanOrEqual(everyMs);
    expect(passedAt.length).toBeGreaterThanOrEqual(5);
    await lease.revoke();
    expect(clock.pending).toBe(0);
  });

  it('a pass that fails is tried again, several times before the TTL ends, and never later than a heartbeat after', async () => {
    const { clock, passedAt, lease } = await leaseWith({ check: { type: 'ttl', ttlMs: 30_000 } }, [refused]);
    await clock.advance(30_000);
    expect(passedAt.filter((at) => at < 30_000).length).toBeGreaterThanOrEqual(5);
    await clock.advance(600_000);
    for (const gap of gaps(passedAt)) expect(gap).toBeLessThanOrEqual(20_000);
    expect(lease.state.current.phase).toBe('retrying');
    await lease.revoke();
  });

  it('one that hangs leaves time for another', async () => {
    for (const ttlMs of [6000, 15_000, 30_000, 60_000]) {
      const { clock, passedAt, lease } = await leaseWith({ check: { type: 'ttl', ttlMs } }, [silent, ok], 0);
      await clock.advance(ttlMs - 1);
      expect(passedAt.length).toBeGreaterThanOrEqual(3);
      expect(lease.state.current.phase).toBe('registered');
      await lease.revoke();
    }
  });

  it('an agent that was away is asked at once, and not when the next pass is due', async () => {
    const { clock, passedAt, lease } = await leaseWith({ check: { type: 'ttl', ttlMs: 60_000 } }, [ok]);
    (lease as unknown as { renewNow(): void }).renewNow();
    await clock.advance(1);
    expect(passedAt).toHaveLength(2);
    await lease.revoke();
  });
});
