import { AxiosError, AxiosHeaders, type InternalAxiosRequestConfig } from 'axios';
import fc from 'fast-check';
import { hostsOf } from '../../lib/backend/machinery/address.js';
import { decodeLeaseRecord } from '../../lib/backend/machinery/lease-record.js';
import { withoutSecrets, withoutSecretUrls } from '../../lib/backend/machinery/log-text.js';
import { assertDocumentId, formatByExtension } from '../../lib/backend/driver/documents.js';
import { parseAddress as parseConsulAddress } from '../../lib/backends/consul/client/address.js';
import { durationMs } from '../../lib/backends/consul/client/values.js';
import { decodeEntry as decodeConsulEntry, describeEntry } from '../../lib/backends/consul/consul.codec.js';
import { parseServiceUrls } from '../../lib/backends/eureka/client/service-urls.js';
import { decodeApplications, decodeInstance, toServiceInstance } from '../../lib/backends/eureka/eureka.codec.js';
import { decodeRecord } from '../../lib/backends/local/local.codec.js';
import { parseServerAddresses, parseServerListText } from '../../lib/backends/nacos/client/addresses.js';
import { toConfigItem } from '../../lib/backends/nacos/client/config/model.js';
import { decodePayload } from '../../lib/backends/nacos/client/grpc/wire.js';
import { decodeChanged } from '../../lib/backends/nacos/client/http/config-api.js';
import { parseServiceInfo } from '../../lib/backends/nacos/client/naming/model.js';
import { fromNacos, toConfigAddress } from '../../lib/backends/nacos/nacos.codec.js';
import { parseHeaderBlock } from '../../lib/backends/nats/connection/headers.js';
import { readAnswer } from '../../lib/backends/nats/jetstream/api.js';
import { assertKey, readDelivery } from '../../lib/backends/nats/jetstream/key-value.codec.js';
import { decodePresence } from '../../lib/backends/nats/nats.codec.js';
import { decodeAnswer } from '../../lib/backends/nats/service/protocol.js';
import { parseAsabHost } from '../../lib/backends/zookeeper/asab/asab.address.js';
import { decodeAsabRecord } from '../../lib/backends/zookeeper/asab/asab.codec.js';
import { parseServers } from '../../lib/backends/zookeeper/client/servers.js';
import { decodeCuratorInstance } from '../../lib/backends/zookeeper/curator/curator.codec.js';
import {
  coerce,
  commandLineLayers,
  entriesOf,
  EnvironmentLayer,
  PropertyTree,
  rawValue,
  readDocument,
} from '../../lib/config/index.js';
import { resolvePlaceholders } from '../../lib/config/placeholders.js';
import { applies } from '../../lib/config/profile-condition.js';
import { retryAfterMs } from '../../lib/http/failover.js';
import { assertWithin, fullUrl, parseAddress, serviceUrl } from '../../lib/http/address.js';
import { toResponseHeaders } from '../../lib/http/transport/response-head.js';
import { parseTarget } from '../../lib/http/transport/target.js';
import {
  assertName,
  assertServiceName,
  createRegistration,
  createServiceInstance,
  describe,
  DiscoveryError,
  fromFileName,
  printable,
  toFileName,
} from '../../lib/model/index.js';
import { bytes, json, spoiled, text } from './hostile.js';

/** Something that reads what comes from outside. */
export interface Target {
  readonly name: string;
  readonly input: fc.Arbitrary<unknown>;
  /** Errors other than a `DiscoveryError` that are its way to say no. */
  readonly refuses?: (error: unknown) => boolean;
  run(input: unknown): unknown;
}

function target<T>(
  name: string,
  input: fc.Arbitrary<T>,
  run: (input: T) => unknown,
  refuses?: (error: unknown) => boolean,
): Target {
  return { name, input, run: (value) => run(value as T), ...(refuses === undefined ? {} : { refuses }) };
}

const asJson = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    bytes,
    arbitrary.map((value) => Buffer.from(JSON.stringify(value) ?? '')),
  );

const ADDRESS = [
  'host',
  'ip',
  'port',
  'address',
  'Address',
  'scheme',
  'status',
  'metadata',
  'weight',
  'zone',
  'id',
  'tags',
];

const consulEntry = {
  Node: { Node: 'n', Address: '10.0.0.1', Datacenter: 'dc1', Meta: {} },
  Service: {
    ID: 'a',
    Service: 's',
    Address: '10.0.0.2',
    Port: 80,
    Meta: { a: 'b' },
    Tags: ['t'],
    Weights: { Passing: 1 },
  },
  Checks: [{ Status: 'passing', CheckID: 'c', ServiceID: 'a' }],
};

const eurekaInstance = {
  instanceId: 'a',
  hostName: 'h',
  app: 'A',
  ipAddr: '10.0.0.1',
  status: 'UP',
  overriddenstatus: 'UNKNOWN',
  port: { $: 80, '@enabled': 'true' },
  securePort: { $: 443, '@enabled': 'false' },
  dataCenterInfo: { name: 'MyOwn' },
  leaseInfo: { renewalIntervalInSecs: 30, durationInSecs: 90 },
  metadata: { a: 'b' },
  vipAddress: 'a',
  actionType: 'ADDED',
};

const nacosHost = {
  ip: '10.0.0.1',
  port: 80,
  weight: 1,
  healthy: true,
  enabled: true,
  ephemeral: true,
  metadata: {},
  instanceId: 'a',
  clusterName: 'DEFAULT',
  serviceName: 'g@@s',
};

const asabRecord = {
  host: 'h',
  appclass: 'A',
  launch_time: '2024',
  web: [['0.0.0.0', 80]],
  nestjs: { id: 'a', port: 1 },
  instance_id: 'i',
  service_id: 's',
};

const curatorRecord = {
  name: 's',
  id: 'a',
  address: 'h',
  port: 80,
  sslPort: null,
  payload: { '@class': 'x', id: 'y', metadata: {} },
  uriSpec: { parts: [{ value: 'scheme', variable: true }] },
  enabled: true,
};

const keysOf = (value: unknown): string[] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, item]) => [key, ...keysOf(item)])
    : [];

const config = { headers: new AxiosHeaders() } as InternalAxiosRequestConfig;
const isUrlRefusal = (error: unknown): boolean =>
  error instanceof AxiosError || (error instanceof TypeError && 'code' in error && error.code === 'ERR_INVALID_URL');

/** Everything that reads: records, documents, addresses, headers, names. */
export const TARGETS: readonly Target[] = [
  target('names', text, (value) => {
    for (const assert of [assertName, assertServiceName]) attempt(() => assert(value, 'name'));
    const file = attempt(() => toFileName(value, 'name'));
    if (file !== undefined && fromFileName(file) !== value) throw new Error(`${describe(value)} comes back as another`);
    fromFileName(value);
  }),
  target('log lines', text, (value) => {
    const line = printable(value);
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(line)) throw new Error('a line of its own');
    withoutSecrets(value);
    withoutSecretUrls(value);
    describe(value);
  }),
  target('registrations', spoiled({ service: 's', host: 'h', port: 80, metadata: { a: 1 } }, ADDRESS), (value) =>
    createRegistration(value as never),
  ),
  target(
    'instances',
    spoiled({ service: 's', backend: 'b', id: 'a', host: 'h', port: 80, metadata: {} }, ADDRESS),
    (value) => createServiceInstance(value as never),
  ),
  target('lease records', json(['registration', 'leaseMs', 'owner', ...ADDRESS]), (value) =>
    isRecord(value) ? decodeLeaseRecord(value) : undefined,
  ),
  target('Consul’s entries', spoiled(consulEntry, keysOf(consulEntry)), (value) => {
    describeEntry(value);
    return decodeConsulEntry(value, 's', { backend: 'b', zoneFromDatacenter: true });
  }),
  target('Consul’s addresses', text, (value) => parseConsulAddress(value)),
  target('Consul’s durations', text, (value) => durationMs(value as never)),
  target(
    'Eureka’s registry',
    spoiled({ applications: { versions__delta: '1', application: [{ name: 'A', instance: [eurekaInstance] }] } }, [
      'applications',
      'application',
      'name',
      'instance',
      ...keysOf(eurekaInstance),
    ]),
    (value) => decodeApplications(value),
  ),
  target('Eureka’s instances', spoiled(eurekaInstance, keysOf(eurekaInstance)), (value) => {
    const instance = decodeInstance(value, 'A');
    return instance === undefined ? undefined : toServiceInstance(instance, 'A', 'b', {} as never);
  }),
  target('Eureka’s URLs', fc.oneof(text, fc.array(text, { maxLength: 3 })), (value) =>
    parseServiceUrls(value, { protocol: 'http', context: '/eureka', port: 8761 } as never, 'eureka()', 'serviceUrls'),
  ),
  target('local records', asJson(spoiled({ registration: {}, pid: 1 }, ['pid', 'registration', ...ADDRESS])), (value) =>
    decodeRecord(Buffer.from(value).toString()),
  ),
  target('Nacos’s addresses', fc.oneof(text, fc.array(text, { maxLength: 3 })), (value) => {
    attempt(() => parseServerAddresses(value, 'serverAddresses'));
    parseServerListText(Array.isArray(value) ? value.join('\n') : value);
  }),
  target(
    'Nacos’s services',
    spoiled({ name: 'g@@s', groupName: 'g', hosts: [nacosHost] }, ['hosts', 'name', ...keysOf(nacosHost)]),
    (value) => {
      const info = parseServiceInfo(value, () => {});
      for (const host of info?.hosts ?? []) attempt(() => fromNacos(host, 's', 'b'));
    },
  ),
  target(
    'Nacos’s configuration',
    json(['content', 'md5', 'contentType', 'encryptedDataKey', 'lastModified']),
    (value) => (isRecord(value) ? toConfigItem(value as never, 'id') : undefined),
  ),
  target('Nacos’s ids', text, (value) => toConfigAddress(value, 'g', '')),
  target('Nacos’s changes', text, (value) => decodeChanged(value, '')),
  target(
    'Nacos’s gRPC payloads',
    bytes,
    (value) => decodePayload(value),
    (error) => error instanceof RangeError,
  ),
  target('NATS’s presences', asJson(json(['registration', 'leaseMs', 'owner', ...ADDRESS])), (value) =>
    decodePresence(value),
  ),
  target('NATS’s answers', asJson(json(['name', 'id', 'version', 'metadata', 'type', 'endpoints'])), (value) => {
    for (const verb of ['PING', 'INFO', 'STATS'] as const) attempt(() => decodeAnswer(verb, value));
  }),
  target('NATS’s headers', bytes, (value) => parseHeaderBlock(value)),
  target('JetStream’s answers', asJson(json(['error', 'code', 'err_code', 'description', 'type'])), (value) =>
    readAnswer(value, 's'),
  ),
  target('JetStream’s keys', text, (value) => {
    readDelivery(value);
    readDelivery(`$JS.ACK.${value}`);
    assertKey(value);
  }),
  target('ASAB’s records', asJson(spoiled(asabRecord, keysOf(asabRecord))), (value) =>
    decodeAsabRecord('n', value, 'b'),
  ),
  target('ASAB’s hosts', text, (value) => parseAsabHost(value)),
  target('Curator’s records', asJson(spoiled(curatorRecord, keysOf(curatorRecord))), (value) =>
    decodeCuratorInstance('s', 'n', value, 'b'),
  ),
  target('ZooKeeper’s servers', fc.oneof(text, fc.array(text, { maxLength: 3 })), (value) =>
    parseServers(value, 'servers'),
  ),
  target('YAML', fc.oneof(text, yaml()), (value) => parse('yaml', value)),
  target(
    'JSON',
    fc.oneof(
      text,
      json(['a', 'b']).map((one) => JSON.stringify(one) ?? ''),
    ),
    (value) => parse('json', value),
  ),
  target('properties', text, (value) => parse('properties', value)),
  target(
    'TOML',
    fc.array(fc.oneof(text, fc.constantFrom('a = 1', '[a]', '[[b]]', 'c = { d = [1, "x"] }', 'e = 1979-05-27')), {
      maxLength: 6,
    }),
    (lines) => parse('toml', lines.join('\n')),
  ),
  target('placeholders', fc.array(fc.constantFrom('${', '}', ':', 'a', 'b', '\\', '${a}', '${b:', '.')), (parts) =>
    parse('json', JSON.stringify({ a: parts.join(''), b: 'x' })),
  ),
  target('conditions of profiles', fc.array(fc.constantFrom('(', ')', '&', '|', '!', 'a', ' b ')), (parts) =>
    applies(new Map([['spring.config.activate.on-profile', { value: parts.join('') }]]), ['a'], undefined),
  ),
  target('variables of the environment', fc.dictionary(text, text), (env) => {
    const environment = new EnvironmentLayer(env);
    for (const name of Object.keys(env)) environment.find(name);
  }),
  target('arguments', fc.array(text), (args) => commandLineLayers(args)),
  target('configuration data', json(['a', 'b.c', 'a.b']), (value) => {
    const flat = entriesOf('id', value);
    const tree = PropertyTree.merge([flat, flat]);
    for (const key of tree.keys) tree.get(key);
    tree.get('');
    for (const type of [Number, String, Boolean, Array])
      attempt(() => coerce('a', rawValue(tree, 'a'), { designType: type }));
  }),
  target('documents’ ids', text, (value) => {
    formatByExtension(value);
    assertDocumentId(value);
  }),
  target('addresses of calls', fc.tuple(text, text), ([base, url]) => {
    const full = fullUrl(serviceUrl('s'), url, true);
    assertWithin(
      's',
      full,
      attempt(() => parseAddress(full)),
      url,
      false,
    );
    parseAddress(fullUrl(base, url, false));
  }),
  target('targets of calls', text, (value) => parseTarget(`http://h${value}`, config), isUrlRefusal),
  target('headers of answers', fc.array(bytes, { maxLength: 8 }), (raw) => {
    const headers = toResponseHeaders(raw.map((one) => Buffer.from(one)));
    return JSON.stringify(headers);
  }),
  target('Retry-After', text, (value) => {
    const delay = retryAfterMs({ response: { headers: { 'retry-after': value } } });
    if (!(delay >= 0)) throw new Error(`${delay} is no delay`);
  }),
  target('hosts', fc.array(text, { maxLength: 4 }), (value) => hostsOf(value)),
];

function yaml(): fc.Arbitrary<string> {
  const line = fc.tuple(
    fc.constantFrom('', '  ', '    ', '- '),
    fc.constantFrom('a', 'b', '<<', '__proto__', '&x a', '*x', '? ', '!!binary a', '!!set a'),
    fc.constantFrom(
      ':',
      ': 1',
      ': &x {a: 1}',
      ': *x',
      ': |',
      ': >',
      ': [',
      ': "',
      ': !!binary aGk=',
      ': 0o17',
      ': 2001-01-01',
    ),
  );
  return fc.array(line, { maxLength: 12 }).map((lines) => lines.map((parts) => parts.join('')).join('\n'));
}

function parse(format: 'yaml' | 'json' | 'properties' | 'toml', value: string): Promise<unknown> {
  return readDocument({ id: 'id', revision: '1', content: { format, text: value } }).then((parts) =>
    resolvePlaceholders(PropertyTree.merge(parts), () => undefined).get(''),
  );
}

/** Runs what may refuse, where what comes after is of interest all the same. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof DiscoveryError) return undefined;
    throw error;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
