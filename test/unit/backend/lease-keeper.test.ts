import { describe, expect, it } from 'vitest';
import { LeaseKeeper, type LeaseKeeperOptions } from '../../../lib/backend/index.js';
import { createRegistration, type DiscoveryEvent } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { abortListeners, deferred, noUnhandledRejections, rejectionOf, turn, watchPromise } from './helpers.js';
import { ScriptedRegistry } from './scripted-registry.js';

noUnhandledRejections();

function setUp(over: Partial<LeaseKeeperOptions> = {}, before?: (registry: ScriptedRegistry) => void) {
  const clock = new ManualClock(0);
  const registry = new ScriptedRegistry(clock);
  before?.(registry);
  const events: DiscoveryEvent[] = [];
  const phases: string[] = [];
  let overCount = 0;
  const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: '10.0.0.1', port: 8080 }), {
    clock,
    backend: 'consul',
    capabilities: { status: 'native', metadata: 'emulated' },
    operations: registry.operations(),
    renewEveryMs: () => 10_000,
    jitter: 0,
    timeoutMs: 5000,
    backoff: { initialMs: 1000, maxMs: 8000 },
    random: () => 1,
    report: (event) => events.push(event),
    onRevoked: () => (overCount += 1),
    ...over,
  });
  lease.state.subscribe((state) => phases.push(state.phase));
  return {
    clock,
    registry,
    lease,
    events,
    phases,
    types: () => events.map((event) => event.type),
    revokedCalls: () => overCount,
  };
}

describe('LeaseKeeper registers and renews', () => {
  it('registers soon, not from within the constructor, and renews at the interval', async () => {
    const { clock, registry, lease, phases, types } = setUp();
    expect(registry.calls).toEqual([]);
    expect(lease.state.current).toEqual({ phase: 'pending' });
    await lease.registered;
    expect(registry.take()).toEqual(['register UP']);
    await clock.advance(9999);
    expect(registry.take()).toEqual([]);
    await clock.advance(1);
    expect(registry.take()).toEqual(['renew UP']);
    await clock.advance(30_000);
    expect(registry.take()).toEqual(['renew UP', 'renew UP', 'renew UP']);
    expect(phases).toEqual(['registered']);
    expect(types()).toEqual(['registration.registered']);
    expect(await lease.revoke()).toBe('removed');
    expect(clock.pending).toBe(0);
  });

  it('says when the registry last confirmed it: at a heartbeat, or now where there are none', async () => {
    const { clock, registry, lease } = setUp();
    expect(lease.confirmedAt).toBeUndefined();
    await lease.registered;
    expect(lease.confirmedAt).toBe(0);
    await clock.advance(12_000);
    expect(lease.confirmedAt).toBe(10_000);
    registry.failure = () => new Error('refused');
    await clock.advance(8000);
    expect(lease.confirmedAt).toBe(10_000);
    registry.failure = undefined;
    await lease.revoke();

    const { register, deregister } = new ScriptedRegistry(clock).operations();
    const kept = setUp({ operations: { register, deregister } });
    await kept.lease.registered;
    await kept.clock.advance(60_000);
    expect(kept.lease.confirmedAt).toBe(60_000);
    await kept.lease.revoke();
  });

  it.each([
    [0, 10_000],
    [0.5, 9500],
    [1, 9000],
  ])('shortens the interval by the jitter (drawn %f)', async (drawn, at) => {
    const { clock, registry, lease } = setUp({ jitter: 0.1, random: () => drawn });
    await clock.advance(10_000);
    expect(registry.startedAt.slice(0, 2)).toEqual([0, at]);
    await lease.revoke();
  });

  it.each<[string, Partial<LeaseKeeperOptions>]>([
    ['without an interval', { renewEveryMs: () => 1e12 }],
    ['without a renewal', {}],
  ])('has nothing to do %s, and sets no hot timer', async (_, over) => {
    const clock = new ManualClock(0);
    const registry = new ScriptedRegistry(clock);
    const { register, deregister } = registry.operations();
    const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
      clock,
      backend: 'zk',
      capabilities: { status: 'emulated', metadata: 'emulated' },
      operations: { register, deregister },
      renewEveryMs: () => 1000,
      ...over,
    });
    await lease.registered;
    lease.renewNow();
    await clock.advance(3_600_000);
    expect(registry.take()).toEqual(['register UP']);
    await lease.revoke();
    expect(clock.pending).toBe(0);
  });

  it('renews once, when asked, although it has no interval of its own', async () => {
    const { renewEveryMs: _, ...noInterval } = { renewEveryMs: 0 };
    const clock = new ManualClock(0);
    const registry = new ScriptedRegistry(clock);
    const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
      clock,
      backend: 'nats',
      capabilities: { status: 'emulated', metadata: 'emulated' },
      operations: registry.operations(),
      ...noInterval,
    });
    await lease.registered;
    lease.renewNow();
    await clock.advance(1_000_000);
    expect(registry.take()).toEqual(['register UP', 'renew UP']);
    registry.record = undefined;
    lease.renewNow();
    await clock.advance(0);
    expect(registry.take()).toEqual(['renew UP', 'register UP']);
    await lease.revoke();
    expect(clock.pending).toBe(0);
  });

  it('registers again, at once, when a renewal says that it was forgotten (R4)', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.record = undefined;
    registry.take();
    await clock.advance(10_000);
    expect(registry.take()).toEqual(['renew UP', 'register UP']);
    expect(registry.record).toBeDefined();
    await clock.advance(10_000);
    expect(registry.take()).toEqual(['renew UP']);
    await lease.revoke();
  });

  it('tells that a renewal has succeeded when the one before failed, and of no other', async () => {
    const { clock, registry, lease, types } = setUp();
    await lease.registered;
    registry.behaviour = 'fails';
    await clock.advance(10_000);
    expect(types()).toEqual(['registration.registered', 'registration.failed']);
    registry.behaviour = 'answers';
    await clock.advance(60_000);
    expect(types()).toEqual(['registration.registered', 'registration.failed', 'registration.registered']);
  });

  it('keeps trying for ever, with a backoff, while it can not be registered (R2, R15)', async () => {
    const { clock, registry, lease, phases, types } = setUp({}, (one) => (one.behaviour = 'fails'));
    const registered = watchPromise(lease.registered);
    await clock.advance(60_000);
    expect(registry.startedAt).toEqual([0, 1000, 3000, 7000, 15_000, 23_000, 31_000, 39_000, 47_000, 55_000]);
    expect(registered.state).toBe('pending');
    expect(lease.state.current.error).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      service: 'ORDERS',
      backend: 'consul',
      message: 'ORDERS could not be registered at consul: refused',
    });
    // The same failure is one state, and as many events.
    expect(phases).toEqual(['retrying']);
    expect(types().filter((type) => type === 'registration.failed')).toHaveLength(10);
    registry.behaviour = 'answers';
    await clock.advance(8000);
    expect(registered).toEqual({ state: 'resolved', times: 1 });
    expect(phases).toEqual(['retrying', 'registered']);
    await lease.revoke();
    expect(registered).toEqual({ state: 'resolved', times: 1 });
  });

  it('begins the backoff anew after a success', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.behaviour = 'fails';
    await clock.advance(10_000 + 1000 + 2000 + 4000);
    registry.behaviour = 'answers';
    await clock.advance(8000);
    expect(registry.startedAt).toEqual([0, 10_000, 11_000, 13_000, 17_000, 25_000]);
    registry.behaviour = 'fails';
    await clock.advance(11_000);
    expect(registry.startedAt.slice(6)).toEqual([35_000, 36_000]);
    await lease.revoke();
  });

  it('renews, and does not register, after a renewal that failed', async () => {
    const { clock, registry, lease, phases } = setUp();
    await lease.registered;
    registry.behaviour = 'fails';
    await clock.advance(10_000);
    expect(lease.state.current.phase).toBe('retrying');
    registry.behaviour = 'answers';
    await clock.advance(1000);
    expect(registry.take()).toEqual(['register UP', 'renew UP', 'renew UP']);
    expect(phases).toEqual(['registered', 'retrying', 'registered']);
    await lease.revoke();
  });

  it('times out an operation that hangs, and goes on', async () => {
    const { clock, registry, lease } = setUp({}, (one) => (one.behaviour = 'hangs'));
    await clock.advance(4999);
    expect(registry.calls).toHaveLength(1);
    await clock.advance(1);
    expect(lease.state.current.error?.code).toBe('TIMEOUT');
    registry.behaviour = 'answers';
    await clock.advance(1000);
    expect(lease.state.current.phase).toBe('registered');
    expect(registry.mostAtOnce).toBe(1);
    await lease.revoke();
    expect(clock.pending).toBe(0);
  });

  it('keeps its heartbeat when the clock is set back or forward (R94)', async () => {
    for (const jump of [-3_600_000, 3_600_000]) {
      const manual = new ManualClock(0);
      let shift = 0;
      const registry = new ScriptedRegistry(manual);
      const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
        clock: { now: () => manual.now() + shift, setTimer: (callback, delay) => manual.setTimer(callback, delay) },
        backend: 'consul',
        capabilities: { status: 'native', metadata: 'native' },
        operations: registry.operations(),
        renewEveryMs: () => 10_000,
        jitter: 0,
      });
      await lease.registered;
      await manual.advance(5000);
      shift = jump;
      await manual.advance(30_000);
      expect(registry.startedAt).toEqual([0, 10_000, 20_000, 30_000]);
      // And when something else wakes it after the jump.
      shift = 2 * jump;
      void lease.setStatus('DOWN');
      await manual.advance(0);
      shift = 3 * jump;
      lease.renewNow();
      shift = 4 * jump;
      await manual.advance(20_000);
      expect(registry.startedAt.length).toBeGreaterThanOrEqual(6);
      await lease.revoke();
    }
  });

  it('survives an operation that throws at once, and a listener that throws', async () => {
    let times = 0;
    const clock = new ManualClock(0);
    const events: DiscoveryEvent[] = [];
    const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
      clock,
      backend: 'consul',
      capabilities: { status: 'native', metadata: 'native' },
      operations: {
        register: () => {
          times += 1;
          if (times === 1) throw new Error('at once');
          return Promise.resolve();
        },
        deregister: async () => 'removed',
      },
      report: (event) => events.push(event),
    });
    lease.state.subscribe(() => {
      throw new Error('listener');
    });
    await clock.advance(1000);
    await lease.registered;
    expect(times).toBe(2);
    expect(events.filter((event) => event.type === 'listener.failed')).toHaveLength(2);
    await lease.revoke();
  });
});

describe('LeaseKeeper.forgotten', () => {
  it('registers again at once, also from within a backoff', async () => {
    const { registry, lease, phases, clock } = setUp();
    await lease.registered;
    registry.record = undefined;
    lease.forgotten();
    expect(lease.state.current.phase).toBe('pending');
    await turn();
    expect(registry.take()).toEqual(['register UP', 'register UP']);
    expect(phases).toEqual(['registered', 'pending', 'registered']);
    registry.behaviour = 'fails';
    lease.forgotten();
    await clock.advance(500);
    registry.behaviour = 'answers';
    lease.forgotten();
    await turn();
    expect(registry.take()).toEqual(['register UP', 'register UP']);
    await lease.revoke();
  });

  it.each(['register', 'renew'])('while a %s is in flight does not trust its success', async (what) => {
    const { clock, registry, lease } = setUp({}, (one) => (one.latencyMs = 100));
    if (what === 'renew') {
      await clock.advance(100 + 10_000);
      registry.take();
    }
    await clock.advance(50);
    lease.forgotten();
    registry.record = undefined;
    await clock.advance(50);
    const first = what === 'register' ? ['register UP', 'register UP'] : ['register UP'];
    expect(registry.take()).toEqual(first);
    expect(lease.state.current.phase).toBe('pending');
    await clock.advance(100);
    expect(lease.state.current.phase).toBe('registered');
    await clock.advance(1000);
    expect(registry.take()).toEqual([]);
    const revoked = lease.revoke();
    await clock.advance(100);
    await revoked;
  });

  it('a hundred times in one turn leads to one registration', async () => {
    const { registry, lease } = setUp();
    await lease.registered;
    registry.take();
    for (let i = 0; i < 100; i += 1) lease.forgotten();
    await turn();
    expect(registry.take()).toEqual(['register UP']);
    await lease.revoke();
  });
});

describe('LeaseKeeper.update', () => {
  it('changes what is wanted at once, and resolves when the registry has it', async () => {
    const { registry, lease, phases } = setUp();
    await lease.registered;
    const updated = watchPromise(lease.update({ status: 'DOWN', metadata: { v: 2 } }));
    expect(lease.registration).toMatchObject({ status: 'DOWN', metadata: { v: '2' } });
    expect(lease.state.current.phase).toBe('pending');
    expect(updated.state).toBe('pending');
    await turn();
    expect(updated).toEqual({ state: 'resolved', times: 1 });
    expect(registry.record).toBe(lease.registration);
    expect(registry.take()).toEqual(['register UP', 'register DOWN']);
    expect(phases).toEqual(['registered', 'pending', 'registered']);
    await lease.revoke();
  });

  it('during the first registration follows it', async () => {
    const { clock, registry, lease } = setUp({}, (one) => (one.latencyMs = 100));
    await clock.advance(50);
    const updated = watchPromise(lease.setStatus('DOWN'));
    await clock.advance(60);
    expect(updated.state).toBe('pending');
    expect(lease.state.current.phase).toBe('pending');
    await lease.registered;
    await clock.advance(90);
    expect(updated.state).toBe('resolved');
    expect(registry.take()).toEqual(['register UP', 'register DOWN']);
    expect(lease.state.current.phase).toBe('registered');
    const revoked = lease.revoke();
    await clock.advance(100);
    await revoked;
  });

  it('uses `change` when there is one, and `register` again when that failed', async () => {
    const clock = new ManualClock(0);
    const registry = new ScriptedRegistry(clock);
    const changes: string[] = [];
    const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
      clock,
      backend: 'consul',
      capabilities: { status: 'native', metadata: 'native' },
      operations: {
        ...registry.operations(),
        change: async (wanted, previous) => {
          changes.push(`${previous.status} to ${wanted.status}`);
          if (wanted.status === 'DOWN') throw new Error('may have arrived');
        },
      },
    });
    await lease.registered;
    await lease.setStatus('OUT_OF_SERVICE');
    const down = lease.setStatus('DOWN');
    await clock.advance(1000);
    await down;
    expect(changes).toEqual(['UP to OUT_OF_SERVICE', 'OUT_OF_SERVICE to DOWN']);
    expect(registry.take()).toEqual(['register UP', 'register DOWN']);
    await lease.revoke();
  });

  it('coalesces 100 status changes made at once; the last wins (R12)', async () => {
    const { registry, lease } = setUp();
    await lease.registered;
    registry.take();
    const updates = Array.from({ length: 100 }, (_, index) => lease.setStatus(index % 2 === 0 ? 'DOWN' : 'UP'));
    updates.push(lease.setStatus('OUT_OF_SERVICE'));
    await Promise.all(updates);
    expect(registry.take()).toEqual(['register OUT_OF_SERVICE']);
    await lease.revoke();
  });

  it('writes at most twice at once, however a status flaps for a second; the last wins (R12)', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.take();
    const updates: Promise<void>[] = [];
    for (let i = 0; i < 100; i += 1) {
      updates.push(lease.setStatus(i % 2 === 0 ? 'DOWN' : 'UP'));
      await clock.advance(10);
      if (i === 40) expect(registry.calls).toHaveLength(2);
    }
    const last = lease.setStatus('OUT_OF_SERVICE');
    await clock.advance(500);
    await Promise.all([...updates, last]);
    expect(registry.calls.length).toBeLessThanOrEqual(5);
    expect(registry.record?.status).toBe('OUT_OF_SERVICE');
    await lease.revoke();
    expect(clock.pending).toBe(0);
  });

  it('does not flood a registry that is down either', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.behaviour = 'fails';
    registry.take();
    const updates: Promise<void>[] = [];
    for (let i = 0; i < 200; i += 1) {
      updates.push(lease.setStatus(i % 2 === 0 ? 'DOWN' : 'UP'));
      await clock.advance(10);
    }
    expect(registry.calls.length).toBeLessThanOrEqual(7);
    registry.behaviour = 'answers';
    await clock.advance(8000);
    await Promise.all(updates);
    expect(registry.record?.status).toBe('UP');
    await lease.revoke();
  });

  it('resolves each update when what it asked for, or something newer, is there', async () => {
    const { clock, registry, lease } = setUp({}, (one) => (one.latencyMs = 100));
    await clock.advance(100);
    const first = watchPromise(lease.setStatus('DOWN'));
    await clock.advance(50);
    const second = watchPromise(lease.setStatus('OUT_OF_SERVICE'));
    await clock.advance(50);
    expect([first.state, second.state]).toEqual(['resolved', 'pending']);
    await clock.advance(100);
    expect(second.state).toBe('resolved');
    registry.behaviour = 'fails';
    const third = watchPromise(lease.setStatus('UP'));
    await clock.advance(150);
    registry.behaviour = 'answers';
    const fourth = watchPromise(lease.setStatus('DOWN'));
    await clock.advance(2000);
    expect([third, fourth].map((one) => one.state)).toEqual(['resolved', 'resolved']);
    expect(registry.take().at(-1)).toBe('register DOWN');
    const revoked = lease.revoke();
    await clock.advance(100);
    await revoked;
  });

  it('refuses what the driver or the model refuses, and changes nothing', async () => {
    const { registry, lease } = setUp({ capabilities: { status: 'unsupported', metadata: 'unsupported' } });
    await lease.registered;
    const before = lease.registration;
    expect(await rejectionOf(lease.setStatus('DOWN'))).toMatchObject({ code: 'UNSUPPORTED', field: 'status' });
    expect(await rejectionOf(lease.update({ metadata: {} }))).toMatchObject({ code: 'UNSUPPORTED', field: 'metadata' });
    expect(await rejectionOf(lease.update({ weight: Number.NaN }))).toMatchObject({ field: 'weight' });
    expect(lease.registration).toBe(before);
    await lease.update({ weight: 3 });
    expect(registry.record?.weight).toBe(3);
    await lease.revoke();
  });
});

describe('LeaseKeeper.revoke', () => {
  it('removes the record, once, and says so', async () => {
    const { clock, registry, lease, phases, types, revokedCalls } = setUp();
    await lease.registered;
    const first = lease.revoke();
    expect(lease.revoke()).toBe(first);
    expect(await first).toBe('removed');
    expect(registry.take()).toEqual(['register UP', 'deregister UP']);
    expect(registry.record).toBeUndefined();
    expect(phases).toEqual(['registered', 'revoked']);
    expect(types()).toEqual(['registration.registered', 'registration.removed']);
    expect(revokedCalls()).toBe(1);
    lease.forgotten();
    lease.renewNow();
    expect((await rejectionOf(lease.setStatus('UP'))).code).toBe('LEASE_REVOKED');
    await clock.advance(1e6);
    expect(registry.take()).toEqual([]);
    expect(clock.pending).toBe(0);
    expect(lease.state.current.phase).toBe('revoked');
  });

  it('before anything was sent sends nothing at all', async () => {
    const { registry, lease, types } = setUp();
    const registered = watchPromise(lease.registered);
    expect(await lease.revoke()).toBe('removed');
    expect(registry.take()).toEqual([]);
    expect(types()).toEqual(['registration.absent']);
    expect(registered).toEqual({ state: 'rejected', times: 1 });
    expect((await rejectionOf(lease.registered)).code).toBe('LEASE_REVOKED');
  });

  it('of what the registry has lost says that it was not there, and after a failure that may have removed it, not', async () => {
    const lost = setUp();
    await turn();
    lost.registry.record = undefined;
    expect(await lost.lease.revoke()).toBe('removed');
    expect(lost.types()).toEqual(['registration.registered', 'registration.absent']);
    const unheard = setUp();
    await turn();
    unheard.registry.behaviour = 'loses-answers';
    const revoked = unheard.lease.revoke(new AbortController().signal);
    await turn();
    unheard.registry.behaviour = 'answers';
    await unheard.clock.advance(60_000);
    expect(await revoked).toBe('removed');
    expect(unheard.registry.take()).toEqual(['register UP', 'deregister UP', 'deregister UP']);
    expect(unheard.types().at(-1)).toBe('registration.removed');
  });

  it('of what surely never arrived sends nothing, and says so at once', async () => {
    const clock = new ManualClock(0);
    const registry = new ScriptedRegistry(clock);
    registry.behaviour = 'fails';
    const events: DiscoveryEvent[] = [];
    let mayExist = false;
    const open = (): LeaseKeeper =>
      new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
        clock,
        backend: 'consul',
        capabilities: { status: 'native', metadata: 'native' },
        operations: { ...registry.operations(), mayExist: () => mayExist },
        report: (event) => events.push(event),
      });
    const refused = open();
    await clock.advance(10_000);
    registry.take();
    expect(await refused.revoke(new AbortController().signal)).toBe('removed');
    expect(events.at(-1)?.type).toBe('registration.absent');
    mayExist = true;
    const unsure = open();
    await clock.advance(10_000);
    registry.take();
    expect(await unsure.revoke()).toBe('left-to-expire');
    expect(registry.take()).toEqual(['deregister UP']);
    expect(events.at(-1)).toMatchObject({ type: 'registration.left', error: { code: 'BACKEND_UNAVAILABLE' } });
  });

  it.each(['register', 'renew'])('waits for the %s in flight; the removal is sent last (R9)', async (what) => {
    const { clock, registry, lease } = setUp({}, (one) => (one.latencyMs = 100));
    if (what === 'renew') await clock.advance(100 + 10_000);
    await clock.advance(50);
    const update = rejectionOf(lease.setStatus('DOWN'));
    const revoked = watchPromise(lease.revoke(new AbortController().signal));
    expect((await update).code).toBe('LEASE_REVOKED');
    await clock.advance(49);
    expect(registry.calls.at(-1)).toBe(`${what} UP`);
    await clock.advance(51);
    expect(registry.calls.at(-1)).toBe('deregister DOWN');
    await clock.advance(50);
    expect(revoked.state).toBe('resolved');
    expect(registry.record).toBeUndefined();
    expect(registry.mostAtOnce).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('waits for an operation whose time was up but that ends late, and removes what it left', async () => {
    const late = deferred();
    const clock = new ManualClock(0);
    const calls: string[] = [];
    let record = false;
    const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
      clock,
      backend: 'consul',
      capabilities: { status: 'native', metadata: 'native' },
      timeoutMs: 5000,
      operations: {
        // Deaf to its signal: what it sends arrives all the same.
        register: async () => {
          calls.push('register');
          await late.promise;
          record = true;
        },
        deregister: async () => {
          calls.push('deregister');
          record = false;
          return 'removed';
        },
      },
      backoff: { initialMs: 60_000, maxMs: 60_000 },
      random: () => 1,
    });
    await clock.advance(5000);
    expect(lease.state.current.phase).toBe('retrying');
    const revoked = watchPromise(lease.revoke());
    await clock.advance(100);
    expect(calls).toEqual(['register']);
    late.resolve();
    await turn();
    expect(revoked.state).toBe('resolved');
    expect(calls).toEqual(['register', 'deregister']);
    expect(record).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('does not promise a removal while a deaf operation may still arrive', async () => {
    const clock = new ManualClock(0);
    const lease = new LeaseKeeper(createRegistration({ service: 'ORDERS', host: 'h', port: 1 }), {
      clock,
      backend: 'consul',
      capabilities: { status: 'native', metadata: 'native' },
      operations: { register: () => new Promise(() => {}), deregister: async () => 'removed' },
    });
    await turn();
    const revoked = lease.revoke();
    await clock.advance(60_000);
    expect(await revoked).toBe('left-to-expire');
    expect(clock.pending).toBe(0);
  });

  it('with a hanging operation ends with the signal: left to expire, nothing sent afterwards', async () => {
    const { clock, registry, lease, types } = setUp({}, (one) => (one.behaviour = 'hangs'));
    await clock.advance(100);
    const controller = new AbortController();
    const revoked = lease.revoke(controller.signal);
    await clock.advance(1000);
    registry.behaviour = 'answers';
    controller.abort();
    expect(await revoked).toBe('left-to-expire');
    await clock.advance(1e6);
    expect(registry.take()).toEqual(['register UP']);
    expect(registry.running).toBe(0);
    expect(types().at(-1)).toBe('registration.left');
    expect(abortListeners(controller.signal)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('with a removal that hangs ends with the signal too', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.behaviour = 'hangs';
    const controller = new AbortController();
    const revoked = lease.revoke(controller.signal);
    await clock.advance(4000);
    controller.abort();
    expect(await revoked).toBe('left-to-expire');
    expect(registry.running).toBe(0);
    expect(abortListeners(controller.signal)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('with a signal that is aborted already sends nothing', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.take();
    expect(await lease.revoke(AbortSignal.abort())).toBe('left-to-expire');
    expect(registry.take()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('during an outage keeps trying until the signal, with a backoff, and says what fails (R8, R62)', async () => {
    const { clock, registry, lease, events } = setUp();
    await lease.registered;
    registry.behaviour = 'fails';
    registry.take();
    const controller = new AbortController();
    const revoked = lease.revoke(controller.signal);
    await clock.advance(20_000);
    expect(registry.take()).toEqual(Array.from({ length: 5 }, () => 'deregister UP'));
    expect(events.at(-1)).toMatchObject({
      type: 'registration.failed',
      error: { message: 'ORDERS could not be deregistered at consul: refused' },
    });
    controller.abort();
    expect(await revoked).toBe('left-to-expire');
    await clock.advance(1e6);
    expect(registry.take()).toEqual([]);
    expect(clock.pending).toBe(0);
    expect(abortListeners(controller.signal)).toBe(0);
  });

  it('during an outage removes it as soon as the registry answers, and does not come back (R8)', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.behaviour = 'fails';
    const revoked = lease.revoke(new AbortController().signal);
    await clock.advance(5000);
    registry.behaviour = 'answers';
    await clock.advance(8000);
    expect(await revoked).toBe('removed');
    expect(registry.record).toBeUndefined();
    await clock.advance(1e6);
    expect(registry.record).toBeUndefined();
  });

  it('without a signal takes one failure for an answer', async () => {
    const { clock, registry, lease } = setUp();
    await lease.registered;
    registry.behaviour = 'fails';
    expect(await lease.revoke()).toBe('left-to-expire');
    expect(clock.pending).toBe(0);
  });

  it.each<[string, (one: ReturnType<typeof setUp>) => Promise<unknown>]>([
    ['a backoff', ({ clock, registry }) => ((registry.behaviour = 'fails'), clock.advance(10_500))],
    [
      'a wait for the next change',
      async ({ clock, lease }) => {
        for (let i = 0; i < 3; i += 1) {
          lease.setStatus(i % 2 === 0 ? 'DOWN' : 'UP').catch(() => {});
          await clock.advance(1);
        }
      },
    ],
    ['the sleep until the next renewal', ({ clock }) => clock.advance(500)],
  ])('breaks %s off', async (_, prepare) => {
    const one = setUp();
    await one.lease.registered;
    await prepare(one);
    one.registry.behaviour = 'answers';
    one.registry.take();
    expect(await one.lease.revoke(new AbortController().signal)).toBe('removed');
    expect(one.registry.take()).toHaveLength(1);
    expect(one.clock.pending).toBe(0);
  });

  it('may be asked from within a listener of the state', async () => {
    const { clock, registry, lease } = setUp();
    let result: Promise<string> | undefined;
    lease.state.subscribe((state) => {
      if (state.phase === 'registered') result = lease.revoke();
    });
    await turn();
    expect(await result).toBe('removed');
    await clock.advance(1e6);
    expect(registry.record).toBeUndefined();
  });

  it('rejects what waits: registered, once, and every update', async () => {
    const { lease } = setUp({}, (one) => (one.behaviour = 'fails'));
    const registered = watchPromise(lease.registered);
    const updates = [lease.setStatus('DOWN'), lease.setStatus('UP')].map((update) => rejectionOf(update));
    await turn();
    await lease.revoke();
    expect((await Promise.all(updates)).map((error) => error.code)).toEqual(['LEASE_REVOKED', 'LEASE_REVOKED']);
    expect(registered).toEqual({ state: 'rejected', times: 1 });
  });
});

describe('what a registry never confirmed', () => {
  const refused = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

  it('gets one second when it may have arrived, and the words are true', async () => {
    const { registry, lease, events, clock } = setUp({}, (before) => (before.behaviour = 'hangs'));
    await clock.advance(5000);
    expect(lease.state.current.phase).toBe('retrying');
    registry.take();
    const revoked = lease.revoke(new AbortController().signal);
    await clock.advance(1000);
    expect(await revoked).toBe('left-to-expire');
    expect(registry.take()).toEqual(['deregister UP']);
    expect(events.at(-1)).toMatchObject({ type: 'registration.left' });
    expect(clock.pending).toBe(0);
  });

  it('is waited for when the first try is under way: a slow registry has no record afterwards', async () => {
    const { registry, lease, clock } = setUp({}, (before) => (before.latencyMs = 3000));
    await clock.advance(100);
    const revoked = lease.revoke(new AbortController().signal);
    await clock.advance(6000);
    expect(await revoked).toBe('removed');
    expect(registry.record).toBeUndefined();
    expect(registry.take()).toEqual(['register UP', 'deregister UP']);
  });

  it('is removed like any other once it was confirmed, though the registry is away then', async () => {
    const { registry, lease, events, clock } = setUp();
    await lease.registered;
    registry.failure = refused;
    await clock.advance(10_000);
    const limit = new AbortController();
    const revoked = lease.revoke(limit.signal);
    await clock.advance(5000);
    limit.abort();
    expect(await revoked).toBe('left-to-expire');
    expect(events.at(-1)).toMatchObject({ type: 'registration.left' });
  });
});
