import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseKeeper } from '../../../lib/backend/index.js';
import { createRegistration, INSTANCE_STATUSES, type InstanceStatus } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { noUnhandledRejections, watchPromise } from './helpers.js';
import { ScriptedRegistry, type Behaviour } from './scripted-registry.js';

noUnhandledRejections();

type Step =
  | { readonly do: 'update'; readonly status: InstanceStatus }
  | { readonly do: 'forgotten' | 'forget' | 'renewNow' | 'abort' }
  | { readonly do: 'revoke'; readonly bounded: boolean }
  | { readonly do: 'behave'; readonly behaviour: Behaviour; readonly latencyMs: number }
  | { readonly do: 'wait'; readonly ms: number };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('update' as const), status: fc.constantFrom(...INSTANCE_STATUSES) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('forgotten' as const, 'forget' as const, 'renewNow' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke' as const), bounded: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('behave' as const),
      behaviour: fc.constantFrom<Behaviour>('answers', 'answers', 'fails', 'loses-answers', 'hangs'),
      latencyMs: fc.constantFrom(0, 0, 30, 400),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 0, 1, 50, 500, 3000) }),
  },
);

/** Plays the steps, and ends with a revocation whatever they were. */
async function play(steps: readonly Step[]) {
  const clock = new ManualClock(0);
  const registry = new ScriptedRegistry(clock);
  const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: '10.0.0.1', port: 8080 }), {
    clock,
    backend: 'consul',
    capabilities: { status: 'native', metadata: 'native' },
    operations: registry.operations(),
    renewEveryMs: () => 2000,
    timeoutMs: 1000,
    backoff: { initialMs: 200, maxMs: 1000 },
  });
  const registered = watchPromise(lease.registered);
  const controller = new AbortController();
  let revocation: Promise<string> | undefined;
  let callsAtEnd: number | undefined;
  let recordAtEnd: unknown;
  const updates: ReturnType<typeof watchPromise>[] = [];
  const revoke = (bounded: boolean): void => {
    if (revocation !== undefined) return;
    revocation = lease.revoke(bounded ? controller.signal : undefined);
    void revocation.then(() => {
      callsAtEnd = registry.calls.length;
      recordAtEnd = registry.record;
      expect(registry.running).toBe(0);
    });
  };
  for (const step of steps) {
    switch (step.do) {
      case 'update':
        updates.push(watchPromise(lease.setStatus(step.status)));
        break;
      case 'forgotten':
        lease.forgotten();
        break;
      case 'forget':
        registry.record = undefined;
        break;
      case 'renewNow':
        lease.renewNow();
        break;
      case 'revoke':
        revoke(step.bounded);
        break;
      case 'abort':
        if (revocation !== undefined) controller.abort();
        break;
      case 'behave':
        registry.behaviour = step.behaviour;
        registry.latencyMs = step.latencyMs;
        break;
      case 'wait':
        await clock.advance(step.ms);
        break;
    }
  }
  return {
    clock,
    registry,
    lease,
    registered,
    controller,
    updates,
    revoke,
    revocation: () => revocation,
    callsAtEnd: () => callsAtEnd,
    recordAtEnd: () => recordAtEnd,
  };
}

describe('LeaseKeeper, whatever happens in whatever order', () => {
  it('never comes back after it was revoked, and "removed" is true', async () => {
    const ends: Record<string, number> = {};
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), fc.boolean(), async (steps, recovers) => {
        const one = await play(steps);
        one.revoke(true);
        if (recovers) {
          one.registry.behaviour = 'answers';
          one.registry.latencyMs = 0;
        }
        await one.clock.advance(10_000);
        one.controller.abort();
        await one.clock.advance(10_000);
        const result = (await one.revocation()) ?? 'nothing';
        ends[result] = (ends[result] ?? 0) + 1;
        // After revoke() resolved no operation starts, whatever is still said to the lease.
        one.lease.forgotten();
        one.lease.renewNow();
        const late = watchPromise(one.lease.setStatus('UP'));
        one.registry.behaviour = 'answers';
        await one.clock.advance(100_000);
        expect(one.registry.calls).toHaveLength(one.callsAtEnd() ?? -1);
        expect(late.state).toBe('rejected');
        // "removed" means that the registry has no record.
        if (result === 'removed') {
          expect(one.recordAtEnd()).toBeUndefined();
          expect(one.registry.record).toBeUndefined();
          // What never was sent needs no removal.
          if (one.registry.calls.length > 0) expect(one.registry.calls.at(-1)).toContain('deregister');
        }
        // One operation at a time, everything settled once, nothing left.
        expect(one.registry.mostAtOnce).toBeLessThanOrEqual(1);
        expect(one.registered.times).toBe(1);
        expect(one.updates.every((update) => update.times === 1)).toBe(true);
        expect(one.lease.state.current.phase).toBe('revoked');
        expect(one.clock.pending).toBe(0);
      }),
      { numRuns: 300 },
    );
    expect(ends['removed']).toBeGreaterThan(10);
    expect(ends['left-to-expire']).toBeGreaterThan(10);
  });

  it('makes the registry agree once it answers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          anyStep.filter((step) => step.do !== 'revoke'),
          { maxLength: 25 },
        ),
        async (steps) => {
          const one = await play(steps);
          one.registry.behaviour = 'answers';
          one.registry.latencyMs = 0;
          await one.clock.advance(10_000);
          expect(one.registry.record).toBe(one.lease.registration);
          expect(one.lease.state.current).toEqual({ phase: 'registered' });
          expect(one.registered).toEqual({ state: 'resolved', times: 1 });
          expect(one.updates.every((update) => update.state === 'resolved' && update.times === 1)).toBe(true);
          expect(one.registry.mostAtOnce).toBe(1);
          await one.lease.revoke();
          expect(one.clock.pending).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });
});
