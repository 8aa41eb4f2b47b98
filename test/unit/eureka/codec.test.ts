import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  actionOf,
  baseUrlOf,
  decodeApplication,
  decodeApplications,
  decodeInstance,
  decodeRecord,
  decodeSingleInstance,
  encodeInstance,
  hashOf,
  statusOf,
  toServiceInstance,
  type OutgoingInstance,
} from '../../../lib/backends/eureka/eureka.codec.js';
import { instanceOf } from '../../../lib/backends/eureka/eureka.record.js';
import { INSTANCE_STATUSES } from '../../../lib/model/index.js';

const PLAIN = { preferIp: false, preferHttps: false };

/** A record as a current server writes it. */
export function record(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    instanceId: 'h:a:1',
    hostName: 'host-1',
    app: 'A',
    ipAddr: '10.0.0.1',
    status: 'UP',
    overriddenStatus: 'UNKNOWN',
    port: { $: 8080, '@enabled': 'true' },
    securePort: { $: 443, '@enabled': 'false' },
    countryId: 1,
    dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
    leaseInfo: { renewalIntervalInSecs: 30, durationInSecs: 90 },
    metadata: { zone: 'z1' },
    homePageUrl: 'http://host-1:8080/',
    statusPageUrl: 'http://host-1:8080/info',
    healthCheckUrl: 'http://host-1:8080/health',
    vipAddress: 'a',
    secureVipAddress: 'a',
    lastUpdatedTimestamp: '1795260918015',
    lastDirtyTimestamp: '1795260917877',
    ...fields,
  };
}

const text = fc.string({ minLength: 1, maxLength: 20 }).filter((value) => value.trim() === value);
const port = fc.integer({ min: 1, max: 65_535 });
const outgoing: fc.Arbitrary<OutgoingInstance> = fc.record({
  instanceId: text,
  app: text.map((value) => value.toUpperCase()),
  hostName: text,
  ipAddr: text,
  status: fc.constantFrom(...INSTANCE_STATUSES),
  port,
  portEnabled: fc.boolean(),
  securePort: port,
  securePortEnabled: fc.boolean(),
  vipAddress: text,
  secureVipAddress: text,
  homePageUrl: text,
  statusPageUrl: text,
  healthCheckUrl: text,
  secureHealthCheckUrl: fc.constantFrom('', 'https://h/health'),
  dataCenter: fc.constantFrom('MyOwn' as const, 'Netflix' as const),
  dataCenterMetadata: fc.constant({}),
  metadata: fc.dictionary(
    text.filter((key) => !['@class', '__proto__', 'constructor', 'prototype'].includes(key)),
    fc.string(),
  ),
  renewalIntervalSeconds: fc.integer({ min: 1, max: 1000 }),
  leaseSeconds: fc.integer({ min: 1, max: 1000 }),
  lastDirtyTimestamp: fc.integer({ min: 1, max: 2 ** 45 }),
});

describe('the Eureka codec', () => {
  it('reads back what it writes, whatever the fields', () => {
    fc.assert(
      fc.property(outgoing, (instance) => {
        const wire: unknown = JSON.parse(JSON.stringify(encodeInstance(instance)));
        const read = decodeSingleInstance(wire);
        expect(read).toMatchObject({
          ...instance,
          // Names know no case, so the record's name is what capitals make of it.
          app: instance.app.toUpperCase(),
          metadata: instance.metadata,
          overriddenStatus: 'UNKNOWN',
        });
      }),
    );
  });

  it('writes every value in the type that the server parses', () => {
    const body = encodeInstance({
      ...decode(),
      metadata: { a: 'b' },
      overriddenStatus: 'UNKNOWN',
      dataCenter: 'Amazon',
      dataCenterMetadata: { 'instance-id': 'i-1' },
    });
    expect(body['instance']).toMatchObject({
      port: { $: 8080, '@enabled': 'true' },
      securePort: { $: 443, '@enabled': 'false' },
      isCoordinatingDiscoveryServer: 'false',
      lastDirtyTimestamp: '1795260917877',
      dataCenterInfo: {
        '@class': 'com.netflix.appinfo.AmazonInfo',
        name: 'Amazon',
        metadata: { 'instance-id': 'i-1' },
      },
    });
  });

  it('never throws on any JSON, and gives plain types', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const candidate of [value, record({ port: value, metadata: value, status: value, leaseInfo: value })]) {
          const instance = decodeInstance(candidate);
          if (instance === undefined) continue;
          expect(typeof instance.port).toBe('number');
          expect(INSTANCE_STATUSES).toContain(instance.status);
          for (const one of Object.values(instance.metadata)) expect(typeof one).toBe('string');
        }
        expect(INSTANCE_STATUSES).toContain(statusOf(value));
        expect(['ADDED', 'MODIFIED', 'DELETED']).toContain(actionOf(value));
      }),
    );
  });

  it('reads a record the same, whatever record it shares fields with', () => {
    const hosts = fc.constantFrom('host-1', 'host', '1', 'http', '10.0.0.1', '', undefined, 7);
    const urls = fc.constantFrom(
      'http://host-1:80/',
      'http://host:80/',
      'http://1:80/1',
      'http',
      'host-1',
      '',
      undefined,
    );
    const fields = {
      hostName: hosts,
      ipAddr: hosts,
      app: fc.constantFrom('A', 'a', undefined, 3),
      vipAddress: fc.constantFrom('a', 'b', undefined, 4),
      secureVipAddress: fc.constantFrom('a', undefined, null),
      homePageUrl: urls,
      statusPageUrl: urls,
      healthCheckUrl: urls,
      secureHealthCheckUrl: urls,
      port: fc.constantFrom(
        { $: 1, '@enabled': 'true' },
        { $: '1', '@enabled': 'false' },
        { $: 2 },
        0,
        7001,
        undefined,
      ),
      securePort: fc.constantFrom({ $: 1, '@enabled': true }, { $: 2, '@enabled': 'false' }, 7002, undefined),
      leaseInfo: fc.constantFrom({ renewalIntervalInSecs: 30, durationInSecs: '90' }, { durationInSecs: 9 }, undefined),
      dataCenterInfo: fc.constantFrom(
        { name: 'Amazon', metadata: { 'instance-id': 'i' } },
        { name: 'Netflix' },
        undefined,
      ),
      metadata: fc.constantFrom({ zone: 'a' }, { '@class': 'x' }, { a: 1 }, undefined),
      lastDirtyTimestamp: fc.constantFrom('1795260917877', 17, 'x', undefined),
    };
    fc.assert(
      fc.property(fc.record(fields), fc.record(fields), (one, other) => {
        const shared = decodeRecord(record(other), 'NAME', decodeRecord(record(one), 'NAME'));
        expect(shared && instanceOf(shared)).toEqual(decodeInstance(record(other), 'NAME'));
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps once what records have in common, URLs but for their host too', () => {
    const of = (host: string): unknown =>
      record({
        hostName: host,
        homePageUrl: `http://${host}:1/`,
        statusPageUrl: `http://${host}:1/i`,
        healthCheckUrl: '',
      });
    const first = decodeRecord(of('host-1'), 'A');
    expect(decodeRecord(of('h2'), 'A', first)?.shared).toBe(first?.shared);
  });

  it('says what it is when it is no registry', () => {
    fc.assert(
      fc.property(
        fc.jsonValue().filter((value) => !(typeof value === 'object' && value !== null && 'applications' in value)),
        (value) => {
          expect(() => decodeApplications(value)).toThrow(expect.objectContaining({ code: 'BACKEND_REFUSED' }));
        },
      ),
    );
    expect(() => decodeApplication({})).toThrow(expect.objectContaining({ code: 'BACKEND_REFUSED' }));
    expect(() => decodeSingleInstance({ instance: [] })).toThrow(expect.objectContaining({ code: 'BACKEND_REFUSED' }));
  });

  it('reads lists in every shape: missing, null, empty text, one object, a list', () => {
    const shapes: [unknown, number][] = [
      [undefined, 0],
      [null, 0],
      ['', 0],
      [{ name: 'A', instance: record() }, 1],
      [[{ name: 'A', instance: [record()] }], 1],
    ];
    for (const [application, length] of shapes) {
      const decoded = decodeApplications({ applications: { apps__hashcode: 'UP_1_', application } });
      expect(decoded.applications).toHaveLength(length);
      expect(decoded.hashcode).toBe('UP_1_');
      if (length === 1) expect(decoded.applications[0]?.records).toHaveLength(1);
    }
    expect(decodeApplications({ applications: { apps_hashcode: 'DOWN_1_' } }).hashcode).toBe('DOWN_1_');
  });

  it.each([
    ['a number', 8081, { port: 8081, portEnabled: true }],
    ['a numeric text', { $: '8082', '@enabled': true }, { port: 8082, portEnabled: true }],
    ['disabled', { $: 8083, '@enabled': 'false' }, { port: 8083, portEnabled: false }],
    ['missing', undefined, { port: 7001, portEnabled: true }],
    ['a text', { $: 'eighty', '@enabled': 'true' }, { port: 0, portEnabled: true }],
  ])('reads a port that is %s', (_, value, expected) => {
    expect(decodeInstance(record({ port: value }))).toMatchObject(expected);
  });

  it('drops what the server encoding adds to metadata, and what would reach a prototype', () => {
    expect(decodeInstance(record({ metadata: { '@class': 'java.util.Collections$EmptyMap' } }))?.metadata).toEqual({});
    const metadata: unknown = JSON.parse('{"__proto__":"x","constructor":"y","a":1,"b":{"c":1},"d":null,"e":true}');
    expect({ ...decodeInstance(record({ metadata }))?.metadata }).toEqual({ a: '1', e: 'true' });
  });

  it('takes both spellings of the overridden status, small letters, and no status as UP', () => {
    const old = record({ overriddenstatus: 'OUT_OF_SERVICE', overriddenStatus: undefined });
    expect(decodeInstance(old)?.overriddenStatus).toBe('OUT_OF_SERVICE');
    expect(decodeInstance(record({ status: 'up' }))?.status).toBe('UP');
    expect(decodeInstance(record({ status: undefined }))?.status).toBe('UP');
    expect(decodeInstance(record({ status: 'EXPLODED' }))?.status).toBe('UNKNOWN');
  });

  it('finds an id in old records, and gives up without any', () => {
    expect(decodeInstance(record({ instanceId: undefined }))?.instanceId).toBe('host-1');
    const amazon = { name: 'Amazon', metadata: { 'instance-id': 'i-9', 'availability-zone': 'us-east-1c' } };
    const instance = decodeInstance(record({ instanceId: undefined, dataCenterInfo: amazon }));
    expect(instance).toMatchObject({ instanceId: 'i-9', zone: 'us-east-1c' });
    expect(decodeInstance({})).toBeUndefined();
    expect(decodeInstance('x')).toBeUndefined();
  });

  it('counts statuses as the server does', () => {
    const counts = (statuses: string[]): Map<string, number> => {
      const map = new Map<string, number>();
      for (const status of statuses) map.set(status, (map.get(status) ?? 0) + 1);
      return map;
    };
    expect(hashOf(counts(['UP', 'UP', 'DOWN', 'OUT_OF_SERVICE']))).toBe('DOWN_1_OUT_OF_SERVICE_1_UP_2_');
    expect(hashOf(new Map([['UP', 0]]))).toBe('');
  });

  it('becomes an instance that can be called: address, scheme, zone, weight', () => {
    const of = (fields: Record<string, unknown>, preference = PLAIN) =>
      toServiceInstance(decode(fields), 'orders', 'eureka', preference);
    expect(of({})).toMatchObject({
      service: 'orders',
      id: 'h:a:1',
      url: 'http://host-1:8080',
      zone: 'z1',
      weight: 1,
      status: 'UP',
      backend: 'eureka',
    });
    expect(of({}, { ...PLAIN, preferIp: true }).url).toBe('http://10.0.0.1:8080');
    const secure = { port: { $: 80, '@enabled': 'false' }, securePort: { $: 8443, '@enabled': 'true' } };
    expect(of(secure).url).toBe('https://host-1:8443');
    const both = { securePort: { $: 8443, '@enabled': 'true' } };
    expect(of(both).url).toBe('http://host-1:8080');
    expect(of(both, { ...PLAIN, preferHttps: true }).url).toBe('https://host-1:8443');
    expect(of({ metadata: { weight: '5' } }).weight).toBe(5);
    expect(of({ metadata: { weight: 'heavy' } }).weight).toBe(1);
    expect(of({ metadata: {} }).zone).toBeUndefined();
    expect(of({ metadata: { scheme: 'grpc' } }).scheme).toBe('grpc');
    expect(of({ hostName: '[fd00::1]' }).url).toBe('http://[fd00::1]:8080');
  });

  it.each([
    ['a host that is a URL', { hostName: 'evil/path@x' }],
    ['no host at all', { hostName: '', ipAddr: '' }],
    ['a port as text', { port: { $: 'eighty', '@enabled': 'true' } }],
    ['both ports disabled', { port: { $: 1, '@enabled': 'false' } }],
  ])('is no instance with %s', (_, fields) => {
    expect(() => toServiceInstance(decode(fields), 'orders', 'eureka', PLAIN)).toThrow(
      expect.objectContaining({ code: 'INVALID_INSTANCE' }),
    );
  });

  it('leaves the scheme’s own port out of URLs', () => {
    expect(baseUrlOf(decode({ port: { $: 80, '@enabled': 'true' } }), PLAIN)).toBe('http://host-1');
    const secure = { port: { $: 80, '@enabled': 'false' }, securePort: { $: 443, '@enabled': 'true' } };
    expect(baseUrlOf(decode(secure), PLAIN)).toBe('https://host-1');
    expect(baseUrlOf(decode({ hostName: 'fd00::1' }), PLAIN)).toBe('http://[fd00::1]:8080');
  });
});

function decode(fields: Record<string, unknown> = {}) {
  const instance = decodeInstance(record(fields));
  if (instance === undefined) throw new Error('the record has an id');
  return instance;
}
