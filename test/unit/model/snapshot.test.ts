import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createServiceInstance,
  diffInstances,
  DiscoveryError,
  isEmptyDiff,
  keepIdentity,
  keepMembers,
  sameInstance,
  unknownSnapshot,
  type InstancesDiff,
  type ServiceInstance,
} from '../../../lib/model/index.js';
import { anyList, anyUniqueList, instance } from './helpers.js';

const copy = (list: readonly ServiceInstance[]): ServiceInstance[] => list.map((one) => createServiceInstance(one));

function apply(before: readonly ServiceInstance[], diff: InstancesDiff): Map<string, ServiceInstance> {
  const result = new Map(before.map((one) => [one.url, one]));
  for (const one of diff.removed) expect(result.delete(one.url)).toBe(true);
  for (const { before: old, after } of diff.changed) {
    expect(result.get(old.url)).toBe(old);
    result.set(after.url, after);
  }
  for (const one of diff.added) {
    expect(result.has(one.url)).toBe(false);
    result.set(one.url, one);
  }
  return result;
}

describe('unknownSnapshot', () => {
  it('is frozen and says nothing that it was not told', () => {
    expect(unknownSnapshot('S')).toEqual({ service: 'S', instances: [], state: 'unknown' });
    expect(Object.isFrozen(unknownSnapshot('S'))).toBe(true);
    const error = new DiscoveryError('TIMEOUT', 'late');
    expect(unknownSnapshot('S', error, ['a'])).toMatchObject({ error, partial: ['a'] });
  });
});

describe('diffInstances', () => {
  it('applied to before gives after', () => {
    fc.assert(
      fc.property(anyUniqueList, anyUniqueList, (before, after) => {
        const result = apply(before, diffInstances(before, after));
        const expected = new Map(after.map((one) => [one.url, one]));
        expect([...result.keys()].sort()).toEqual([...expected.keys()].sort());
        for (const [url, one] of expected) expect(sameInstance(one, result.get(url) ?? instance())).toBe(true);
      }),
    );
  });

  it('is empty for lists of the same content, in any order and with records at one address', () => {
    fc.assert(
      fc.property(anyList, (list) => {
        expect(isEmptyDiff(diffInstances(list, copy(list)))).toBe(true);
      }),
    );
    fc.assert(
      fc.property(anyUniqueList, (list) => {
        expect(isEmptyDiff(diffInstances(list, copy(list).reverse()))).toBe(true);
      }),
    );
  });

  it('takes the first of several records at one address', () => {
    const [first, second] = [instance({ id: 'first' }), instance({ id: 'second' })];
    expect(diffInstances([], [first, second]).added).toEqual([first]);
    expect(diffInstances([first, second], []).removed).toEqual([first]);
    expect(diffInstances([first, second], [second]).changed).toEqual([{ before: first, after: second }]);
    expect(isEmptyDiff(diffInstances([first], [first, second]))).toBe(true);
  });

  it('reports one address once', () => {
    fc.assert(
      fc.property(anyList, anyList, (before, after) => {
        const { added, removed, changed } = diffInstances(before, after);
        const urls = [...added, ...removed, ...changed.map((one) => one.after)].map((one) => one.url);
        expect(new Set(urls).size).toBe(urls.length);
      }),
    );
  });
});

describe('keepMembers', () => {
  it('takes another order for no news, and everything else as keepIdentity', () => {
    fc.assert(
      fc.property(
        anyList.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray([...list], { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          // Two equal records are one.
          fc.pre(new Set(list.map(({ url, id }) => `${url} ${id}`)).size === list.length);
          expect(keepMembers(list, copy(shuffled))).toBe(list);
        },
      ),
    );
    fc.assert(
      fc.property(anyUniqueList, anyUniqueList, (previous, next) => {
        const kept = keepMembers(previous, next);
        expect(isEmptyDiff(diffInstances(previous, next))).toBe(kept === previous);
        if (kept !== previous) expect(kept).toEqual(keepIdentity(previous, next));
      }),
    );
  });
});

describe('keepIdentity', () => {
  it('keeps the objects of what did not change, and the list when nothing did', () => {
    fc.assert(
      fc.property(anyUniqueList, anyUniqueList, (previous, next) => {
        const kept = keepIdentity(previous, next);
        expect(kept).toHaveLength(next.length);
        kept.forEach((one, index) => {
          const wanted = next[index] ?? instance();
          expect(sameInstance(one, wanted)).toBe(true);
          const old = previous.find((candidate) => candidate.url === one.url);
          expect(one).toBe(old !== undefined && sameInstance(old, wanted) ? old : wanted);
        });
        expect(Object.isFrozen(kept) || kept === previous).toBe(true);
      }),
    );
  });

  it('gives the previous list when nothing changed, also with records at one address', () => {
    fc.assert(
      fc.property(anyList, (list) => {
        expect(keepIdentity(list, copy(list))).toBe(list);
      }),
    );
  });

  it('is another list when one was removed or the order changed', () => {
    const [a, b] = [instance({ port: 1 }), instance({ port: 2 })];
    expect(keepIdentity([a, b], [a])).toEqual([a]);
    expect(keepIdentity([a, b], [b, a])).toEqual([b, a]);
    expect(keepIdentity([a], [])).toEqual([]);
    expect(keepIdentity([], [a])).toEqual([a]);
  });
});
