import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAsabRecord, encodeAsabRecord, type AsabFacts } from '../../../lib/backends/zookeeper/asab/asab.codec.js';
import { formatByExtension, layerNames } from '../../../lib/backend/index.js';
import { buildIndex } from '../../../lib/backends/zookeeper/asab/asab.locator.js';
import { decodeCuratorInstance, encodeCuratorInstance } from '../../../lib/backends/zookeeper/curator/curator.codec.js';
import type { CuratorPayload } from '../../../lib/backends/zookeeper/curator/curator.options.js';
import { contextDocument } from '../../../lib/backends/zookeeper/zookeeper.config-codec.js';
import { createRegistration, DiscoveryError, INSTANCE_STATUSES, type Registration } from '../../../lib/model/index.js';

const name = fc
  .stringMatching(/^[a-zA-Z0-9_-]{1,20}$/)
  .filter((text) => !['constructor', 'prototype', '__proto__'].includes(text));
const port = fc.integer({ min: 1, max: 65_535 });

const registrations: fc.Arbitrary<Registration> = fc
  .record({
    service: name,
    host: fc.oneof(
      fc.constantFrom('host-1', '10.0.0.5', 'fd00::1', 'a.b.example'),
      name.map((one) => `h${one}h`),
    ),
    port,
    scheme: fc.constantFrom('http', 'https'),
    status: fc.constantFrom(...INSTANCE_STATUSES),
    weight: fc.integer({ min: 0, max: 100 }),
    zone: fc.option(name, { nil: undefined }),
    metadata: fc.dictionary(
      name.map((key) => `m${key}`),
      fc.string(),
    ),
  })
  .map(({ zone, ...rest }) => createRegistration({ ...rest, ...(zone === undefined ? {} : { zone }) }));

const facts = (registration: Registration): AsabFacts => ({
  host: registration.host,
  appClass: 'App',
  launchTime: '2024-01-01T00:00:00.000000Z',
  processId: 1,
  containerized: true,
  ids: { service_id: registration.service, node_id: 'n-1' },
  manifest: { version: 'v1' },
  version: undefined,
  discovery: new Map([['tenant', ['t1']]]),
  listen: ['0.0.0.0', '::'],
});

const decodeOrError = <T>(decode: () => T): T | DiscoveryError => {
  try {
    return decode();
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw error;
  }
};

/** JSON that looks more or less like a record. */
const anyRecord = (keys: readonly string[]): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.json().map((text) => JSON.parse(text) as unknown),
    fc.dictionary(fc.constantFrom(...keys), fc.jsonValue()),
  );

describe('ASAB’s records', () => {
  it('say what was registered, to us', () => {
    fc.assert(
      fc.property(registrations, (registration) => {
        const data = encodeAsabRecord(registration, facts(registration), 'token-1');
        const record = decodeAsabRecord('App.0000000001', data, 'zk');
        expect(record.problem).toBeUndefined();
        expect(record.token).toBe('token-1');
        expect(record.instances).toHaveLength(1);
        const [instance] = record.instances;
        const { service, instanceId, host, scheme, status, weight, zone, metadata } = registration;
        expect(instance).toMatchObject({
          service,
          id: instanceId,
          host,
          port: registration.port,
          scheme,
          status,
          weight,
        });
        expect(instance?.zone).toBe(zone);
        expect(instance?.metadata).toMatchObject({ ...metadata });
        expect(record.addresses).toHaveLength(status === 'UP' ? 2 : 0);
        expect(record.ids.get('tenant')).toEqual(['t1']);
      }),
    );
  });

  it('of strangers never throw anything but our error, and never give what can’t be an instance', () => {
    const keys = ['host', 'web', 'discovery', 'instance_id', 'service_id', 'node_id', 'nestjs', 'launch_time'];
    fc.assert(
      fc.property(anyRecord(keys), fc.jsonValue(), (value, ours) => {
        for (const record of [
          value,
          typeof value === 'object' && value !== null ? { ...value, nestjs: ours } : value,
        ]) {
          const decoded = decodeOrError(() => decodeAsabRecord('n', Buffer.from(JSON.stringify(record)), 'zk'));
          if (decoded instanceof DiscoveryError) continue;
          for (const instance of decoded.instances) expect(URL.canParse(instance.url)).toBe(true);
          if (decoded.problem !== undefined) expect(decoded.addresses).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeOrError(() => decodeAsabRecord('n', bytes, 'zk'));
      }),
    );
  });

  it('bound to one address are called where that is the one that others dial', () => {
    for (const host of ['10.0.0.5', 'fd00::5']) {
      const data = Buffer.from(JSON.stringify({ host, service_id: 's', web: [[host, 80]] }));
      const { addresses, instances } = decodeAsabRecord('n', data, 'zk');
      expect(addresses).toEqual([{ host, port: 80, family: host.includes(':') ? 6 : 4 }]);
      expect(instances).toHaveLength(1);
    }
  });

  it('are indexed by every id they have, each address once', () => {
    const decode = (record: unknown): ReturnType<typeof decodeAsabRecord> =>
      decodeAsabRecord('n', Buffer.from(JSON.stringify(record)), 'zk');
    const index = buildIndex([
      decode({
        host: 'h',
        instance_id: 'i',
        discovery: { instance_id: ['other'], x: ['1', 1, null, {}] },
        web: [
          ['10.0.0.9', 9],
          ['0.0.0.0', 1],
          ['0.0.0.0', 1],
          ['::', 1, 0, 0],
        ],
      }),
      decode({ host: 'h', service_id: 's', web: [['127.0.0.1', 2]] }),
    ]);
    expect([...index.keys()]).toEqual(['instance_id', 'service_id', 'x']);
    expect([...(index.get('instance_id')?.keys() ?? [])]).toEqual(['i']);
    expect([...(index.get('x')?.keys() ?? [])]).toEqual(['1']);
    expect(index.get('x')?.get('1')?.size).toBe(2);
    expect(index.get('service_id')?.size).toBe(0);
  });
});

describe('Curator’s records', () => {
  it('say what was registered', () => {
    fc.assert(
      fc.property(registrations, (registration) => {
        const data = encodeCuratorInstance(registration, 1_700_000_000_000);
        const instance = decodeCuratorInstance(registration.service, 'node', data, 'zk');
        const { service, instanceId, host, scheme, status, weight, zone, metadata } = registration;
        expect(instance).toMatchObject({
          service,
          id: instanceId,
          host,
          port: registration.port,
          scheme,
          status,
          weight,
        });
        expect(instance.zone).toBe(zone);
        expect({ ...instance.metadata }).toEqual({ ...metadata });
      }),
    );
  });

  it('are what the page says a Spring client needs', () => {
    const registration = createRegistration({
      service: 'ts-demo',
      instanceId: 'ts-demo-1',
      host: '10.0.0.5',
      port: 9090,
    });
    expect(JSON.parse(encodeCuratorInstance(registration, 1_700_000_000_000).toString())).toEqual({
      name: 'ts-demo',
      id: 'ts-demo-1',
      address: '10.0.0.5',
      port: 9090,
      sslPort: null,
      payload: {
        '@class': 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance',
        id: 'ts-demo-1',
        name: 'ts-demo',
        metadata: { instance_status: 'UP' },
      },
      registrationTimeUTC: 1_700_000_000_000,
      serviceType: 'DYNAMIC',
      uriSpec: {
        parts: [
          { value: 'scheme', variable: true },
          { value: '://', variable: false },
          { value: 'address', variable: true },
          { value: ':', variable: false },
          { value: 'port', variable: true },
        ],
      },
    });
  });

  const decodePeer = (fields: Record<string, unknown>) =>
    decodeCuratorInstance(
      's',
      'n',
      Buffer.from(
        JSON.stringify({
          name: 's',
          id: 'i',
          address: '10.0.0.7',
          port: 8080,
          sslPort: null,
          payload: null,
          ...fields,
        }),
      ),
      'zk',
    );
  /** A template as Curator's class writes it. */
  const parts = (template: string): unknown => ({
    parts: template
      .split(/(\{[^}]*\})/)
      .filter((part) => part !== '')
      .map((part) =>
        part.startsWith('{') ? { value: part.slice(1, -1), variable: true } : { value: part, variable: false },
      ),
  });

  it.each([
    ['{scheme}://{address}:{port}/api/v1', {}, 'http://10.0.0.7:8080', '/api/v1'],
    ['https://{address}:{port}', {}, 'https://10.0.0.7:8080', undefined],
    ['https://{address}:{ssl-port}/', { sslPort: 8443 }, 'https://10.0.0.7:8443', undefined],
    ['{scheme}://{address}:{port}/', { sslPort: 8443 }, 'https://10.0.0.7:8443', undefined],
    ['http://{address}:{port}', { sslPort: 8443 }, 'http://10.0.0.7:8080', undefined],
    ['https://gateway.example.com/{name}/', { port: null }, 'https://gateway.example.com:443', '/s'],
    ['https://gateway.example.com', { address: null, port: null }, 'https://gateway.example.com:443', undefined],
    ['{scheme}://{address}:{port}/a/../b?c=d', {}, 'http://10.0.0.7:8080', '/b'],
    ['{scheme}://{address}:{port}', { address: 'fd00::1' }, 'http://[fd00::1]:8080', undefined],
    ['http://u:p@{address}:{port}', {}, 'http://10.0.0.7:8080', undefined],
    ['tcp://{address}:{port}', {}, 'tcp://10.0.0.7:8080', undefined],
    // What needs more than there is, or is no URL: address and port.
    ['{nonsense}', {}, 'http://10.0.0.7:8080', undefined],
    ['not a url', { sslPort: 8443 }, 'https://10.0.0.7:8443', undefined],
    ['{scheme}://{address}:{ssl-port}/x', {}, 'http://10.0.0.7:8080', undefined],
    ['', {}, 'http://10.0.0.7:8080', undefined],
  ])('are reached where their template says: %s', (template, fields, url, contextPath) => {
    for (const uriSpec of [template, parts(template)]) {
      const instance = decodePeer({ ...fields, uriSpec });
      expect([instance.url, instance.metadata['contextPath']]).toEqual([url, contextPath]);
    }
  });

  it.each([5, [], { parts: 5 }, { parts: [null] }, { parts: [{ value: 1 }] }, null])(
    'with a template that is none: %j',
    (uriSpec) => expect(decodePeer({ uriSpec }).url).toBe('http://10.0.0.7:8080'),
  );

  it('keep a path that the metadata say', () => {
    const payload = { metadata: { contextPath: '/own' } };
    const instance = decodePeer({ payload, uriSpec: '{scheme}://{address}:{port}/api' });
    expect(instance.metadata).toEqual({ contextPath: '/own' });
  });

  it('are enabled while they are UP, and out of service when they aren’t', () => {
    const registration = createRegistration({ service: 's', host: 'h', port: 1 });
    for (const status of INSTANCE_STATUSES) {
      const data = encodeCuratorInstance({ ...registration, status }, 1, 'none');
      expect(JSON.parse(data.toString())).toEqual(
        expect.objectContaining(status === 'UP' ? { payload: null } : { payload: null, enabled: false }),
      );
      expect(decodeCuratorInstance('s', 'n', data, 'zk').status).toBe(status === 'UP' ? 'UP' : 'OUT_OF_SERVICE');
    }
  });

  it('have the payload that is chosen, and read its metadata back', () => {
    const registration = createRegistration({ service: 's', host: 'h', port: 1, metadata: { color: 'red' } });
    const written = (payload: CuratorPayload) => encodeCuratorInstance(registration, 1, payload);
    const read = (payload: CuratorPayload) => ({ ...decodeCuratorInstance('s', 'n', written(payload), 'zk').metadata });
    expect(JSON.parse(written('none').toString())).toMatchObject({ payload: null });
    expect(read('none')).toEqual({});
    expect(read(({ metadata }) => ({ '@class': 'java.util.HashMap', ...metadata }))).toEqual({ color: 'red' });
    expect(read(({ metadata }) => ({ '@class': 'com.acme.Payload', metadata }))).toEqual({ color: 'red' });
    expect(JSON.parse(written(() => undefined).toString())).toMatchObject({ payload: null });
  });

  it('never hold metadata that Java would not read as a map of texts', () => {
    fc.assert(
      fc.property(registrations, (registration) => {
        const { payload } = JSON.parse(encodeCuratorInstance(registration, 1).toString()) as {
          payload: { metadata: Record<string, unknown> };
        };
        expect(Object.values(payload.metadata).every((value) => typeof value === 'string')).toBe(true);
      }),
    );
  });

  it('of strangers never throw anything but our error', () => {
    const keys = ['address', 'port', 'sslPort', 'payload', 'id', 'enabled', 'name'];
    fc.assert(
      fc.property(anyRecord(keys), (value) => {
        const decoded = decodeOrError(() => decodeCuratorInstance('s', 'n', Buffer.from(JSON.stringify(value)), 'zk'));
        if (!(decoded instanceof DiscoveryError)) expect(URL.canParse(decoded.url)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('configuration', () => {
  it('orders contexts as Spring does', () => {
    expect(layerNames('orders', ['dev', 'eu'], 'application', ',')).toEqual([
      'application',
      'application,dev',
      'application,eu',
      'orders',
      'orders,dev',
      'orders,eu',
    ]);
    expect(layerNames('application', [], 'application', ',')).toEqual(['application']);
  });

  it('names properties by their path, whatever nodes there are', () => {
    const segment = fc.stringMatching(/^[a-z0-9.]{1,5}$/).filter((text) => text !== '.' && text !== '..');
    fc.assert(
      fc.property(fc.array(fc.array(segment, { minLength: 1, maxLength: 3 }), { maxLength: 10 }), (paths) => {
        const children = new Map<string, Set<string>>([['/c/app', new Set()]]);
        for (const path of paths) {
          let at = '/c/app';
          for (const part of path) {
            children.get(at)?.add(part);
            at = `${at}/${part}`;
            if (!children.has(at)) children.set(at, new Set());
          }
        }
        const nodes = new Map(
          [...children].map(([path, names]) => [
            path,
            { path, data: Buffer.from(names.size === 0 ? path : ''), revision: '1.0', children: [...names] },
          ]),
        );
        const document = contextDocument('app', '/c/app', nodes, () => {});
        if (paths.length === 0) {
          expect(document).toBeUndefined();
          return;
        }
        const content = document?.content;
        if (content?.format !== 'entries') throw new Error('entries were expected');
        const leaves = [...children].filter(([path, names]) => names.size === 0 && path !== '/c/app');
        for (const [path] of leaves) {
          const key = path.slice('/c/app/'.length).replaceAll('/', '.');
          expect(Object.keys(content.entries)).toContain(key);
        }
      }),
    );
  });

  it('tells formats by extension', () => {
    expect(
      ['a.yaml', 'a.YML', 'x/a.json', 'a.properties', 'a', 'a.txt', 'db.url'].map(
        (id) => formatByExtension(id) ?? 'text',
      ),
    ).toEqual(['yaml', 'yaml', 'json', 'properties', 'text', 'text', 'text']);
  });
});
