import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DiscoveryError,
  mergeSnapshots,
  unknownSnapshot,
  type BackendSnapshot,
  type ServiceInstance,
  type Snapshot,
} from '../../../lib/model/index.js';
import { anyUniqueList, instance } from './helpers.js';

const error = new DiscoveryError('BACKEND_UNAVAILABLE', 'down');
const fresh = (instances: readonly ServiceInstance[], asOf = 5): Snapshot => ({
  service: 'ORDERS',
  instances,
  state: 'fresh',
  asOf,
});
const stale = (instances: readonly ServiceInstance[], asOf = 3): Snapshot => ({
  service: 'ORDERS',
  instances,
  state: 'stale',
  asOf,
  error,
});
const merge = (...snapshots: Snapshot[]): Snapshot =>
  mergeSnapshots(
    'ORDERS',
    snapshots.map((snapshot, index) => ({ backend: `b${index}`, snapshot })),
  );

const anySnapshot: fc.Arbitrary<Snapshot> = fc.oneof(
  anyUniqueList.map((list) => fresh(list)),
  anyUniqueList.map((list) => stale(list)),
  fc.constantFrom(unknownSnapshot('ORDERS'), unknownSnapshot('ORDERS', error)),
);
const anyParts: fc.Arbitrary<BackendSnapshot[]> = fc
  .array(anySnapshot, { maxLength: 4 })
  .map((snapshots) => snapshots.map((snapshot, index) => ({ backend: `b${index}`, snapshot })));

describe('mergeSnapshots', () => {
  it('keeps its rules whatever the backends say', () => {
    fc.assert(
      fc.property(anyParts, (parts) => {
        const merged = mergeSnapshots('ORDERS', parts);
        const of = (state: Snapshot['state']): BackendSnapshot[] =>
          parts.filter((part) => part.snapshot.state === state);
        // The state is the best of all.
        const state = of('fresh').length > 0 ? 'fresh' : of('stale').length > 0 ? 'stale' : 'unknown';
        expect(merged.state).toBe(state);
        // Who could not be asked is named, and nobody else.
        const missing = parts.filter((part) => part.snapshot.state !== 'fresh').map((part) => part.backend);
        expect(merged.partial ?? []).toEqual(missing);
        expect('partial' in merged).toBe(missing.length > 0);
        // Nothing is hidden, nothing doubled, nothing invented.
        const ordered = [...of('fresh'), ...of('stale')].flatMap(({ snapshot }) =>
          snapshot.instances.map((one) => ({ one, state: snapshot.state })),
        );
        expect(merged.instances.map((one) => one.url)).toEqual([...new Set(ordered.map(({ one }) => one.url))]);
        for (const one of merged.instances) {
          const same = ordered.filter((candidate) => candidate.one.url === one.url);
          const first = same[0]?.one;
          const out = same.some(
            (candidate) => candidate.state === 'fresh' && candidate.one.status === 'OUT_OF_SERVICE',
          );
          // Fresh before stale, then the order of the list; a fresh OUT_OF_SERVICE anywhere wins.
          expect(one).toEqual(out ? { ...first, status: 'OUT_OF_SERVICE' } : first);
          expect(Object.isFrozen(one)).toBe(true);
        }
        expect(Object.isFrozen(merged)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('tells "there are none" from "I could not ask"', () => {
    expect(merge(fresh([]))).toEqual({ service: 'ORDERS', instances: [], state: 'fresh', asOf: 5 });
    expect(merge(unknownSnapshot('ORDERS', error))).toEqual({
      service: 'ORDERS',
      instances: [],
      state: 'unknown',
      error,
      partial: ['b0'],
    });
    expect(merge(fresh([]), unknownSnapshot('ORDERS', error))).toMatchObject({
      state: 'fresh',
      error,
      partial: ['b1'],
    });
    expect(mergeSnapshots('ORDERS', [])).toEqual(unknownSnapshot('ORDERS'));
  });

  it('gives an instance the tags of all that are as fresh, and those of an old word only when there is no new one', () => {
    const tagged = (backend: string, tags: string[]): ServiceInstance => instance({ backend, tags });
    const [a, b, c] = [tagged('a', ['x']), tagged('b', ['z', 'x']), tagged('c', ['old'])];
    const merged = merge(fresh([a]), fresh([b]), stale([c])).instances;
    expect(merged).toEqual([{ ...a, tags: ['x', 'z'] }]);
    expect(merge(stale([a]), stale([c])).instances[0]?.tags).toEqual(['old', 'x']);
    // Another record of one backend is another instance's.
    expect(merge(fresh([a, tagged('a', ['other'])])).instances[0]?.tags).toEqual(['x']);
  });

  it('hides nothing of one backend because another fails (R37)', () => {
    const here = [instance({ port: 1 })];
    const merged = merge(unknownSnapshot('ORDERS', error), fresh(here), stale([instance({ port: 2 })]));
    expect(merged.instances.map((one) => one.port)).toEqual([1, 2]);
    expect(merged).toMatchObject({ state: 'fresh', error, partial: ['b0', 'b2'] });
  });

  it('is as old as the oldest word that decides', () => {
    expect(merge(fresh([], 7), fresh([], 5), stale([], 1)).asOf).toBe(5);
    expect(merge(stale([], 4), stale([], 2)).asOf).toBe(2);
    expect(merge(unknownSnapshot('ORDERS')).asOf).toBeUndefined();
  });

  it('gives the very list of a backend that alone answered', () => {
    const list = Object.freeze([instance({ port: 1 }), instance({ port: 2 })]);
    expect(merge(fresh(list)).instances).toBe(list);
    expect(merge(unknownSnapshot('ORDERS'), fresh(list)).instances).toBe(list);
  });

  it.each([1, 2])('takes the one that is UP of several records at one address (%i backends)', (backends) => {
    const dead = instance({ id: 'dead', status: 'DOWN' });
    const alive = instance({ id: 'alive' });
    const out = instance({ id: 'out', status: 'OUT_OF_SERVICE' });
    const of = (...list: ServiceInstance[]) =>
      merge(fresh(list), ...(backends === 2 ? [fresh([instance({ port: 9 })])] : [])).instances.filter(
        (one) => one.port !== 9,
      );
    expect(of(dead, alive)).toEqual([alive]);
    expect(of(alive, dead)).toEqual([alive]);
    expect(of(dead, instance({ id: 'starting', status: 'STARTING' }))).toEqual([dead]);
    expect(of(out, alive)).toEqual([out]);
    expect(of(alive, out)).toEqual([{ ...alive, status: 'OUT_OF_SERVICE' }]);
  });

  it('lets the order of the list decide between backends, also against UP', () => {
    const [down, up] = [instance({ id: 'a', status: 'DOWN' }), instance({ id: 'b' })];
    expect(merge(fresh([down]), fresh([up])).instances).toEqual([down]);
    expect(merge(stale([down]), fresh([up])).instances).toEqual([up]);
  });

  it('does not take the stale word of OUT_OF_SERVICE against a fresh one', () => {
    expect(merge(fresh([instance()]), stale([instance({ status: 'OUT_OF_SERVICE' })])).instances).toEqual([instance()]);
  });
});
