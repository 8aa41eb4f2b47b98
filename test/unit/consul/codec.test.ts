import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ServiceDefinition } from '../../../lib/backends/consul/client/types.js';
import {
  checkIdOf,
  decodeEntry,
  encodeService,
  maintenanceIdOf,
  notesOf,
  reasonOf,
  statusOfReason,
  ttlStatusOf,
  type DecodeOptions,
} from '../../../lib/backends/consul/consul.codec.js';
import { decodeMetadata, encodeMetadata } from '../../../lib/backends/consul/consul.metadata.js';
import { renewalMs } from '../../../lib/backends/consul/consul.options.js';
import type { ConsulCheckOptions } from '../../../lib/backends/consul/consul.options.js';
import {
  createMetadata,
  createRegistration,
  INSTANCE_STATUSES,
  isPrototypeKey,
  type InstanceStatus,
  type RegistrationInput,
} from '../../../lib/model/index.js';

const encoding = { check: { type: 'ttl' as const }, deregisterAfterMs: 600_000, enableTagOverride: false };
const decoding: DecodeOptions = { backend: 'consul', zoneFromDatacenter: false, passingOnly: false };

const registrationOf = (fields: Partial<RegistrationInput> = {}) =>
  createRegistration({ service: 'orders', host: '10.0.0.5', port: 8080, ...fields });

/** The entry that others read when a definition is registered, with the given checks. */
function entryOf(definition: ServiceDefinition, checks: readonly object[] = []): unknown {
  return JSON.parse(
    JSON.stringify({
      Node: { ID: 'n', Node: 'node', Address: '10.9.9.9', Datacenter: 'dc1', CreateIndex: 1, ModifyIndex: 1 },
      Service: { ...definition, Service: definition.Name, Tags: definition.Tags },
      Checks: checks,
    }),
  ) as unknown;
}

const check = (Status: string, fields: object = {}) => ({
  Node: 'node',
  CheckID: 'c',
  Name: 'c',
  Status,
  Notes: '',
  Output: '',
  ServiceID: 'x',
  ServiceName: 'x',
  ...fields,
});

const key = fc.oneof(
  fc.string({ maxLength: 6, unit: 'grapheme' }).filter((one) => Buffer.byteLength(one) <= 36),
  fc.constantFrom('nsd-key_', 'nsd-key_x', 'nsd-key__20', 'nsd-scheme', 'nsd-weight', 'zone', 'secure', 'a_b', 'a b'),
);
const metadata = fc
  .dictionary(key, fc.string({ maxLength: 50 }), { maxKeys: 8 })
  .filter((all) => Object.keys(all).every((one) => !isPrototypeKey(one) && !/\p{Cs}/u.test(one)));

describe('metadata', () => {
  it('whatever the keys: Consul takes them, and they come back', () => {
    fc.assert(
      fc.property(metadata, (all) => {
        const encoded = encodeMetadata(createMetadata(all));
        for (const one of Object.keys(encoded)) expect(one).toMatch(/^[A-Za-z0-9_-]+$/);
        expect({ ...decodeMetadata(encoded, []) }).toEqual({ ...createMetadata(all) });
      }),
    );
  });

  it('keys of others are left as they are', () => {
    const foreign = { 'nsd-key_zz_': 'x', 'nsd-key_61': 'z', plain: 'p' };
    expect({ ...decodeMetadata(foreign, []) }).toEqual(foreign);
    expect(Object.keys(decodeMetadata({ 'nsd-key___proto__': 'x', a: 'b' }, []))).toContain('a');
  });

  it('never reaches a prototype', () => {
    const evil = { 'nsd-key__5f_5fproto_5f_5f': 'x' };
    expect(Object.keys(decodeMetadata(evil, []))).toEqual(['nsd-key__5f_5fproto_5f_5f']);
    const own = JSON.parse('{"__proto__":"x","constructor":"y","a":"b"}') as Record<string, string>;
    expect(Object.keys(decodeMetadata(own, []))).toEqual(['a']);
  });
});

describe('a registration', () => {
  const arbitrary = fc.record({
    metadata,
    scheme: fc.constantFrom('http', 'https', 'grpc', 'ws'),
    weight: fc.oneof(fc.nat(70_000), fc.double({ min: 0, max: 1e9, noNaN: true })),
    zone: fc.option(fc.constantFrom('z1', 'z2'), { nil: undefined }),
    tags: fc.array(fc.string({ maxLength: 10 }), { maxLength: 3 }),
  });

  it('is seen by others as it was meant', () => {
    fc.assert(
      fc.property(arbitrary, ({ zone, ...fields }) => {
        const registration = registrationOf({ ...fields, ...(zone === undefined ? {} : { zone }) });
        fc.pre(!('zone' in fields.metadata) && !('secure' in fields.metadata));
        const definition = encodeService(registration, encoding);
        const instance = decodeEntry(entryOf(definition, [check('passing')]), 'orders', decoding);
        expect(instance).toMatchObject({
          service: 'orders',
          id: registration.instanceId,
          host: '10.0.0.5',
          port: 8080,
          scheme: registration.scheme,
          status: 'UP',
          weight: registration.weight,
          backend: 'consul',
        });
        expect(instance?.zone).toBe(zone);
        expect({ ...instance?.metadata }).toEqual({
          ...registration.metadata,
          ...(zone === undefined ? {} : { zone }),
          ...(registration.scheme === 'https' ? { secure: 'true' } : {}),
        });
        const { Passing, Warning } = definition.Weights ?? { Passing: 0, Warning: 0 };
        expect(Number.isInteger(Passing) && Passing >= 1 && Passing <= 65_535 && Warning === Passing).toBe(true);
      }),
    );
  });

  it('its check', () => {
    const of = (one: ConsulCheckOptions, fields: Partial<RegistrationInput> = {}) =>
      encodeService(registrationOf(fields), { ...encoding, check: one }).Check;
    expect(of({ type: 'ttl', ttlMs: 5000 })).toMatchObject({
      CheckID: 'service:orders:10.0.0.5:8080',
      TTL: 5000,
      Status: 'passing',
      DeregisterCriticalServiceAfter: 600_000,
    });
    expect(of({ type: 'ttl' }, { status: 'STARTING' })).toMatchObject({ Status: 'critical', Notes: 'STARTING' });
    expect(of({ type: 'http' }, { healthPath: '/ready', scheme: 'https' })).toMatchObject({
      HTTP: 'https://10.0.0.5:8080/ready',
      Interval: 10_000,
      Timeout: 5000,
    });
    expect(of({ type: 'http', path: 'up', port: 81 }, { host: '::1' })).toMatchObject({ HTTP: 'http://[::1]:81/up' });
    expect(of({ type: 'tcp' })).toMatchObject({ TCP: '10.0.0.5:8080' });
    expect(of({ type: 'grpc', useTls: true, service: 's' })).toMatchObject({
      GRPC: '10.0.0.5:8080/s',
      GRPCUseTLS: true,
    });
    expect(of({ type: 'none' })).toBeUndefined();
    const never = encodeService(registrationOf(), { ...encoding, deregisterAfterMs: undefined });
    expect(never.Check).not.toHaveProperty('DeregisterCriticalServiceAfter');
    // Servers refuse both together.
    for (const one of [{ type: 'ttl' }, { type: 'http' }, { type: 'tcp' }, { type: 'grpc' }] as const) {
      const encoded = of(one);
      expect(encoded?.TTL === undefined).not.toBe(encoded?.Interval === undefined);
    }
  });

  it('every status comes back from the check or the maintenance that stands for it', () => {
    const decoded = (status: InstanceStatus, type: ConsulCheckOptions['type']) => {
      const maintained = status === 'OUT_OF_SERVICE' || (status !== 'UP' && type !== 'ttl');
      const ttl = ttlStatusOf(status);
      const checks = [
        check('passing', { CheckID: 'serfHealth' }),
        ...(type === 'ttl'
          ? [check(ttl.status, { CheckID: checkIdOf('x'), Type: 'ttl', Notes: notesOf(status) })]
          : []),
        ...(maintained ? [check('critical', { CheckID: maintenanceIdOf('x'), Notes: reasonOf(status) })] : []),
      ];
      return decodeEntry(entryOf(encodeService(registrationOf(), encoding), checks), 'orders', decoding)?.status;
    };
    for (const status of INSTANCE_STATUSES) {
      expect(decoded(status, 'ttl')).toBe(status);
      expect(decoded(status, 'none')).toBe(status);
    }
    expect(statusOfReason('by hand')).toBeUndefined();
    expect(statusOfReason('nestjs-service-discovery: nonsense')).toBeUndefined();
  });
});

describe('an entry', () => {
  const definition = encodeService(registrationOf({ weight: 10 }), encoding);
  const read = (checks: readonly object[], options: Partial<DecodeOptions> = {}) =>
    decodeEntry(entryOf({ ...definition, Weights: { Passing: 10, Warning: 2 } }, checks), 'orders', {
      ...decoding,
      ...options,
    });

  it('passing only, unless asked for all; maintenance is always seen', () => {
    const only = { passingOnly: true };
    expect(read([check('passing')], only)?.status).toBe('UP');
    expect(read([check('critical')], only)).toBeUndefined();
    expect(read([check('warning')], only)).toBeUndefined();
    expect(read([check('critical')])?.status).toBe('DOWN');
    expect(read([check('fine')])?.status).toBe('DOWN');
    expect(read([check('critical', { CheckID: '_node_maintenance' })], only)?.status).toBe('OUT_OF_SERVICE');
    expect(read([check('critical', { CheckID: '_service_maintenance:x', Notes: 'by hand' })], only)?.status).toBe(
      'OUT_OF_SERVICE',
    );
    expect(read([])?.status).toBe('UP');
  });

  it('a warning counts as UP when asked, with its own weight', () => {
    expect(read([check('warning')])).toMatchObject({ status: 'DOWN' });
    expect(read([check('warning')], { acceptWarning: true })).toMatchObject({ status: 'UP', weight: 2 });
    expect(read([check('warning'), check('critical')], { acceptWarning: true })).toMatchObject({ status: 'DOWN' });
  });

  it("of Spring's: metadata, zone, secure", () => {
    const entry = entryOf({
      Name: 'o',
      ID: 'orders-8080',
      Address: '',
      Port: 8080,
      Meta: { secure: 'true', zone: 'z', group: 'g' },
    });
    expect(decodeEntry(entry, 'orders', decoding)).toMatchObject({
      id: 'orders-8080',
      host: '10.9.9.9',
      url: 'https://10.9.9.9:8080',
      zone: 'z',
      weight: 1,
      metadata: { secure: 'true', zone: 'z', group: 'g' },
    });
  });

  it('of an older server: nulls where lists and objects should be', () => {
    const entry = {
      Node: { Node: 'n', Address: '10.0.0.1', Datacenter: 'dc1' },
      Service: { ID: 'x', Service: 'orders', Tags: null, Meta: null, Address: '', Port: 1, Weights: null },
      Checks: null,
    };
    expect(decodeEntry(entry, 'orders', { ...decoding, zoneFromDatacenter: true })).toMatchObject({
      zone: 'dc1',
      weight: 1,
    });
  });

  it('whatever it is, it is an instance, nothing, or a DiscoveryError', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, maxDepth: 4 }), (value) => {
        const mixed = [value, { Node: value, Service: value }, { ...(entryOf(definition) as object), Checks: value }];
        for (const entry of mixed) {
          try {
            decodeEntry(entry, 'orders', decoding);
          } catch (error) {
            expect(error).toHaveProperty('code');
          }
        }
      }),
    );
  });
});

describe('renewals', () => {
  it('at two thirds of the TTL, and never later than a second before its end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2000, max: 86_400_000 }), (ttlMs) => {
        const every = renewalMs({ type: 'ttl', ttlMs }, 1);
        expect(every).toBeLessThanOrEqual((ttlMs * 2) / 3);
        expect(every).toBeLessThanOrEqual(ttlMs - 1000);
        expect(every).toBeGreaterThan(0);
      }),
    );
    expect(renewalMs({ type: 'ttl' }, 1)).toBe(20_000);
    expect(renewalMs({ type: 'http' }, 5000)).toBe(5000);
  });
});
