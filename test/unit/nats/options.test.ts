import { describe, expect, it } from 'vitest';
import { nats } from '../../../lib/backends/nats/index.js';
import { resolveNatsOptions } from '../../../lib/backends/nats/nats.options.js';
import { streamConfig } from '../../../lib/backends/nats/jetstream/bucket-options.js';
import { activeResources, createContext, leakedResources } from '../../contract/contract-harness.js';

describe('nats()', () => {
  it('has defaults', () => {
    expect(resolveNatsOptions({})).toMatchObject({
      name: 'nats',
      connection: { servers: ['127.0.0.1:4222'], library: 'nats', firstConnect: 'wait', pingIntervalMs: 20_000 },
      presence: { mode: 'key-value', bucket: 'service-presence', leaseMs: 15_000, bucketOptions: { ttlMs: 15_000 } },
      rounds: { intervalMs: 5000, tolerance: 3 },
      config: { bucket: 'service-config', bucketOptions: { history: 10 } },
      apiPrefix: '$SRV',
    });
    expect(resolveNatsOptions({ servers: 'nats://a:1, b:2', rounds: false, config: { create: false } })).toMatchObject({
      connection: { servers: ['nats://a:1', 'b:2'] },
      rounds: undefined,
      config: { bucketOptions: { create: false } },
    });
  });

  it.for([
    [{ name: '../x' }, 'INVALID_NAME', 'name'],
    [{ nam: 'x' }, 'INVALID_OPTION', 'nam'],
    [{ presence: { bucket: 'a.b' } }, 'INVALID_OPTION', 'presence.bucket'],
    [{ presence: { leaseMs: 10 } }, 'INVALID_OPTION', 'presence.leaseMs'],
    [{ presence: { mode: 'other' } }, 'INVALID_OPTION', 'presence.mode'],
    [{ presence: { mode: 'services' }, rounds: false }, 'INVALID_OPTION', 'rounds'],
    [{ presence: { create: { history: 5 } } }, 'INVALID_OPTION', 'presence.create.history'],
    [{ rounds: true }, 'INVALID_OPTION', 'rounds'],
    [{ rounds: { tolerance: 0 } }, 'INVALID_OPTION', 'rounds.tolerance'],
    [{ config: { bucket: 'service-presence' } }, 'INVALID_OPTION', 'config.bucket'],
    [{ config: { create: { history: 65 } } }, 'INVALID_OPTION', 'config.create.history'],
    [{ apiPrefix: 'a b' }, 'INVALID_NAME', 'apiPrefix'],
    [{ servers: '' }, 'INVALID_OPTION', 'servers'],
    [{ servers: 'nats://u:secret@h:1/path' }, 'INVALID_OPTION', 'servers[0]'],
  ] as const)('refuses %j', ([options, code, field]) => {
    expect(() => nats(options as never)).toThrow(expect.objectContaining({ code, field }));
    try {
      nats(options as never);
    } catch (error) {
      expect(String(error)).not.toContain('secret');
    }
  });

  it('tells the new name of an option that was renamed', () => {
    expect(() => nats({ user: 'x' } as never)).toThrow('user is called `username`');
  });

  it('starts nothing before it is opened', async () => {
    const before = activeResources();
    const backend = nats().create(createContext([]));
    expect(leakedResources(before)).toEqual([]);
    await backend.close();
  });

  it('asks only servers that know them for markers', () => {
    expect(streamConfig('b', { ttlMs: 2000, markerMs: 500 }, 0)).not.toHaveProperty('allow_msg_ttl');
    expect(streamConfig('b', { ttlMs: 2000, markerMs: 500 }, 1)).toMatchObject({
      name: 'KV_b',
      subjects: ['$KV.b.>'],
      max_age: 2e9,
      duplicate_window: 2e9,
      allow_msg_ttl: true,
      subject_delete_marker_ttl: 1e9,
      max_msgs_per_subject: 1,
      deny_delete: true,
    });
  });
});
