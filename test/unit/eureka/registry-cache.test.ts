import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RegistryCache } from '../../../lib/backends/eureka/client/registry-cache.js';
import type { DecodedApplications } from '../../../lib/backends/eureka/eureka.codec.js';

interface Change {
  readonly app: string;
  readonly id: string;
  readonly status: string;
  readonly action?: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly at?: number;
}

function answer(changes: readonly Change[], hashcode?: string): DecodedApplications {
  // One application entry per record: servers may name an application more than once.
  return {
    hashcode,
    applications: changes.map(({ app, id, status, action, at = 1 }) => ({
      name: app,
      records: [
        {
          instanceId: id,
          hostName: 'h',
          ipAddr: '10.0.0.1',
          app,
          status,
          lastDirtyTimestamp: String(at),
          lastUpdatedTimestamp: String(at),
          ...(action === undefined ? {} : { actionType: action }),
        },
      ],
    })),
  };
}

describe('the registry cache', () => {
  it('applies a delta in its order and counts as the server does', () => {
    const cache = new RegistryCache();
    expect([...cache.replace(answer([{ app: 'A', id: 'a1', status: 'UP' }])).changed]).toEqual(['A']);
    expect(cache.hashcode).toBe('UP_1_');
    const delta = answer([
      { app: 'A', id: 'a2', status: 'UP', action: 'ADDED', at: 2 },
      { app: 'A', id: 'a1', status: 'DOWN', action: 'MODIFIED', at: 2 },
      { app: 'A', id: 'a9', status: 'UP', action: 'DELETED', at: 2 },
      { app: 'B', id: 'b9', status: 'UP', action: 'DELETED', at: 2 },
    ]);
    expect([...cache.apply(delta).changed]).toEqual(['A']);
    expect(cache.hashcode).toBe('DOWN_1_UP_1_');
    const again = cache.applications;
    expect(cache.apply(delta).changed.size).toBe(0);
    expect(cache.applications).toBe(again);
  });

  it('adds applications that a delta brings, and drops those that it empties', () => {
    const cache = new RegistryCache();
    cache.replace(answer([{ app: 'A', id: 'a1', status: 'UP' }]));
    cache.apply(answer([{ app: 'new', id: 'n1', status: 'UP', action: 'ADDED' }]));
    expect(cache.applications.getApplication('New').upInstances).toHaveLength(1);
    cache.apply(answer([{ app: 'A', id: 'a1', status: 'UP', action: 'DELETED' }]));
    expect(cache.applications.names).toEqual(['NEW']);
  });

  it('keeps what did not change: instances, applications', () => {
    const cache = new RegistryCache();
    const all = [
      { app: 'A', id: 'a1', status: 'UP' },
      { app: 'A', id: 'a2', status: 'UP' },
      { app: 'B', id: 'b1', status: 'UP' },
    ];
    cache.replace(answer(all));
    const before = cache.applications;
    const { changed } = cache.replace(answer([{ app: 'A', id: 'a1', status: 'UP', at: 2 }, ...all.slice(1)]));
    expect([...changed]).toEqual(['A']);
    expect(cache.applications.getApplication('B')).toBe(before.getApplication('B'));
    expect(cache.applications.getApplication('A').getInstance('a2')).toBe(before.getApplication('A').getInstance('a2'));
    expect(cache.applications.getApplication('A').getInstance('a1')).not.toBe(
      before.getApplication('A').getInstance('a1'),
    );
    // What was handed out before is as it was.
    expect(before.getApplication('A').instances).toHaveLength(2);
  });

  it('counts what it cannot use, since the server counts it too', () => {
    const cache = new RegistryCache();
    const { unreadable } = cache.replace({
      hashcode: undefined,
      applications: [{ name: 'A', records: [{ status: 'DOWN' }, { instanceId: 'x', status: 'UP' }] }],
    });
    expect(unreadable).toHaveLength(1);
    expect(cache.hashcode).toBe('DOWN_1_UP_1_');
    expect(cache.applications.getApplication('A').instances).toHaveLength(1);
  });

  it('after any changes is what a full answer would have made it', () => {
    const change = fc.record({
      app: fc.constantFrom('A', 'B', 'C'),
      id: fc.constantFrom('1', '2', '3', '4'),
      status: fc.constantFrom('UP', 'DOWN', 'OUT_OF_SERVICE'),
      action: fc.constantFrom('ADDED' as const, 'MODIFIED' as const, 'DELETED' as const),
    });
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 6 }), (deltas) => {
        const cache = new RegistryCache();
        const expected = new Map<string, Change>();
        let at = 1;
        for (const delta of deltas) {
          const stamped = delta.map((one) => ({ ...one, at: (at += 1) }));
          const before = cache.applications;
          const { changed } = cache.apply(answer(stamped));
          for (const one of stamped) {
            const key = `${one.app}/${one.id}`;
            if (one.action === 'DELETED') expected.delete(key);
            else expected.set(key, { app: one.app, id: one.id, status: one.status, at: one.at });
          }
          for (const name of ['A', 'B', 'C']) {
            if (changed.has(name)) continue;
            expect(cache.applications.getApplication(name).instances).toEqual(before.getApplication(name).instances);
          }
        }
        const full = new RegistryCache();
        full.replace(answer([...expected.values()]));
        expect(cache.hashcode).toBe(full.hashcode);
        const content = (one: RegistryCache) =>
          ['A', 'B', 'C'].map((name) =>
            one.applications
              .getApplication(name)
              .instances.map(({ instanceId, status }) => `${instanceId} ${status}`)
              .sort(),
          );
        expect(content(cache)).toEqual(content(full));
        expect(cache.applications.names.toSorted()).toEqual(full.applications.names.toSorted());
      }),
    );
  });

  it('gives an application without instances for a name that is not there', () => {
    const { applications } = new RegistryCache();
    expect(applications.getApplication('nobody')).toMatchObject({ name: 'NOBODY', instances: [], upInstances: [] });
  });
});
