import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRegistration, DiscoveryError, INSTANCE_STATUSES } from '../../../lib/model/index.js';
import {
  formatOf,
  fromNacos,
  toConfigAddress,
  toDocumentId,
  toNacos,
  toServiceAddress,
  typeOf,
} from '../../../lib/backends/nacos/nacos.codec.js';
import {
  diffNacosInstances,
  instanceJson,
  parseInstance,
  parseServiceInfo,
  pickByWeight,
  toNacosInstance,
} from '../../../lib/backends/nacos/client/naming/model.js';

const defaults = { cluster: 'DEFAULT', ephemeral: true, enabled: true, metadata: {} };

/** Plain names: what a service, a metadata key or a zone may be called. */
const name = fc
  .stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
  .filter((text) => text !== 'constructor' && text !== 'prototype');
const metadata = fc.dictionary(
  name.filter((key) => key !== 'secure' && key !== 'zone'),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  { maxKeys: 8 },
);

const registrations = fc
  .record({
    service: name,
    host: fc.oneof(fc.constant('10.1.2.3'), fc.constant('fd00::5'), fc.constant('node-1.example.org')),
    port: fc.integer({ min: 1, max: 65535 }),
    scheme: fc.constantFrom('http', 'https', 'grpc', 'ws'),
    status: fc.constantFrom(...INSTANCE_STATUSES),
    weight: fc.double({ min: 0, max: 10_000, noNaN: true }).map((weight) => (weight === 0 ? 0 : weight)),
    metadata,
    tags: fc.array(fc.string({ maxLength: 10 }), { maxLength: 3 }),
    zone: fc.option(name, { nil: undefined }),
    instanceId: fc.option(name, { nil: undefined }),
  })
  .map(({ zone, instanceId, ...rest }) =>
    createRegistration({
      ...rest,
      ...(zone === undefined ? {} : { zone }),
      ...(instanceId === undefined ? {} : { instanceId }),
    }),
  );

describe('instances', () => {
  it('come back from Nacos as they were registered', () => {
    fc.assert(
      fc.property(registrations, fc.constantFrom('DEFAULT', 'c-1'), (registration, cluster) => {
        const told = toNacos(registration, { ...defaults, cluster });
        const received = parseInstance(JSON.parse(JSON.stringify(instanceJson(told))) as Record<string, unknown>);
        const instance = fromNacos(received, registration.service, 'nacos');
        const { service, host, port, scheme, status, weight, instanceId } = registration;
        expect(instance).toMatchObject({ service, host, port, scheme, status, weight, id: instanceId });
        expect({ ...instance.metadata }).toMatchObject({ ...registration.metadata });
        expect(new Set(instance.tags)).toEqual(new Set(registration.tags.filter((tag) => tag !== '')));
        expect(instance.zone).toBe(registration.zone ?? (cluster === 'DEFAULT' ? undefined : cluster));
      }),
    );
  });

  it('that are not UP are called by no SDK: their weight is 0', () => {
    fc.assert(
      fc.property(registrations, (registration) => {
        const told = toNacos(registration, defaults);
        if (registration.status === 'UP') expect(told).toMatchObject({ healthy: true, weight: registration.weight });
        else expect(told.weight).toBe(0);
        expect(told.enabled).toBe(true);
      }),
    );
  });

  it('of strangers: unhealthy is DOWN, disabled is OUT_OF_SERVICE, the cluster is the zone', () => {
    const stranger = toNacosInstance({ ip: '10.0.0.1', port: 80, clusterName: 'hz', metadata: { secure: 'true' } });
    expect(fromNacos(stranger, 's', 'n')).toMatchObject({ status: 'UP', zone: 'hz', scheme: 'https', weight: 1 });
    expect(fromNacos({ ...stranger, healthy: false }, 's', 'n').status).toBe('DOWN');
    expect(fromNacos({ ...stranger, enabled: false }, 's', 'n').status).toBe('OUT_OF_SERVICE');
    const odd = { ...stranger, metadata: { 'nsd.status': 'SLEEPING', 'nsd.weight': '-5' } };
    expect(fromNacos(odd, 's', 'n')).toMatchObject({ status: 'UP', weight: 1 });
  });

  it('that are malformed are refused by name of the field, never by a crash', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('ip', 'port', 'weight', 'metadata', 'healthy'), fc.jsonValue()),
        (json) => {
          try {
            fromNacos(parseInstance(json), 's', 'n');
          } catch (error) {
            expect(error).toBeInstanceOf(DiscoveryError);
          }
        },
      ),
      { numRuns: 1000 },
    );
    const evil = JSON.parse('{"ip":"1.1.1.1","port":1,"metadata":{"__proto__":"x"}}') as Record<string, unknown>;
    expect(() => parseInstance(evil)).toThrow(expect.objectContaining({ code: 'INVALID_INSTANCE' }));
    const skipped: string[] = [];
    const info = parseServiceInfo(
      { name: 'G@@s', hosts: [{ ip: '1.1.1.1', port: 80 }, { ip: 5 }, null, evil] },
      (record) => skipped.push(record),
    );
    expect(info).toMatchObject({ name: 's', groupName: 'G', hosts: [{ ip: '1.1.1.1' }] });
    expect(skipped).toHaveLength(2);
    expect(parseServiceInfo({ name: 's', hosts: null }, () => {})).toBeUndefined();
    expect(parseServiceInfo('x', () => {})).toBeUndefined();
  });

  it('given by users are checked', () => {
    const base = { ip: '1.1.1.1', port: 1 };
    const refused = (input: object, field: string): void =>
      expect(() => toNacosInstance({ ...base, ...input })).toThrow(
        expect.objectContaining({ code: 'INVALID_INSTANCE', field }),
      );
    refused({ ip: '' }, 'ip');
    refused({ ip: 'a b' }, 'ip');
    refused({ port: 65_536 }, 'port');
    refused({ weight: 10_001 }, 'weight');
    refused({ weight: -1 }, 'weight');
    refused({ clusterName: 'a,b' }, 'clusterName');
    refused({ metadata: { a: 5 } }, 'metadata.a');
    refused({ metadata: { 'preserved.ip.delete.timeout': '100' } }, 'metadata.preserved.ip.delete.timeout');
  });

  it('differences: added, removed, changed', () => {
    const make = (port: number, weight = 1) => toNacosInstance({ ip: '1.1.1.1', port, weight });
    const diff = diffNacosInstances([make(1), make(2), make(3)], [make(1), make(2, 5), make(4)]);
    expect(diff.added.map((one) => one.port)).toEqual([4]);
    expect(diff.changed.map((one) => one.port)).toEqual([2]);
    expect(diff.removed.map((one) => one.port)).toEqual([3]);
  });

  it('are picked by weight', () => {
    const make = (port: number, weight: number, healthy = true) =>
      toNacosInstance({ ip: '1.1.1.1', port, weight, healthy });
    const hosts = [make(1, 1), make(2, 3), make(3, 100, false), make(4, 0)];
    const picks = Array.from({ length: 1000 }, (_, index) => pickByWeight(hosts, index / 1000)?.port);
    expect(picks.filter((port) => port === 1)).toHaveLength(250);
    expect(picks.filter((port) => port === 2)).toHaveLength(750);
    expect(pickByWeight([make(1, 0)], 0.5)).toBeUndefined();
  });
});

describe('names', () => {
  it('of services may carry their group', () => {
    expect(toServiceAddress('stock', 'DEFAULT_GROUP')).toEqual({ service: 'stock', group: 'DEFAULT_GROUP' });
    expect(toServiceAddress('OTHER@@stock', 'DEFAULT_GROUP')).toEqual({ service: 'stock', group: 'OTHER' });
    for (const bad of ['', 'a b', '../x', '@@x', 'a@@', 'a@@b@@c', '__proto__', '..']) {
      expect(() => toServiceAddress(bad, 'G')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    }
  });

  it('of documents: dataId, or group/dataId', () => {
    expect(toConfigAddress('a.yaml', 'G', 'ns')).toEqual({ dataId: 'a.yaml', group: 'G', tenant: 'ns' });
    expect(toConfigAddress('H/a.yaml', 'G', '')).toEqual({ dataId: 'a.yaml', group: 'H', tenant: '' });
    expect(toDocumentId({ dataId: 'a', group: 'G' }, 'G')).toBe('a');
    expect(toDocumentId({ dataId: 'a', group: 'H' }, 'G')).toBe('H/a');
    for (const bad of ['', '/', '..', '../a', 'a/..', 'a/b/c', 'a\\b', 'a b', 'a%2e', '__proto__', 'x\u0002y', 5]) {
      expect(() => toConfigAddress(bad, 'G', '')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    }
  });

  it('formats and types', () => {
    expect(formatOf('a.yaml', 'text')).toBe('yaml');
    expect(formatOf('a', 'json')).toBe('json');
    expect(formatOf('a.yaml', 'properties')).toBe('properties');
    for (const type of ['xml', 'html', 'text']) expect(formatOf('a', type)).toBe('text');
    expect(formatOf('a', 'toml')).toBe('toml');
    expect(formatOf('a', 'text', 'yaml')).toBe('yaml');
    expect(formatOf('a', undefined)).toBe('text');
    expect(typeOf('a.toml', undefined)).toBe('toml');
    expect(typeOf('a.xml', 'text')).toBe('xml');
    expect(typeOf('a.html', undefined)).toBe('html');
    expect(typeOf('a.yaml', 'json')).toBe('json');
    expect(typeOf('a', undefined)).toBe('text');
  });
});
