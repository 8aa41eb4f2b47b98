import {
  createServiceInstance,
  DiscoveryError,
  INSTANCE_STATUSES,
  isPrototypeKey,
  type InstanceStatus,
  type Registration,
  type ServiceInstance,
} from '../../../model/index.js';
import { field, isObject, parseObject, textField, type JsonObject } from '../json.js';
import type { CuratorPayload } from './curator.options.js';
import { addressOfUriSpec, type SpecifiedAddress } from './curator.uri-spec.js';

/*
 * Apache Curator's ServiceInstance as `JsonInstanceSerializer` writes and reads it, with the payload that Spring Cloud
 * Zookeeper puts into it. A Java reader fails as a whole on one record that it doesn't understand, so what is written
 * here is exact: the order of fields, the class name in the payload, the name of the enum.
 */

/** The class that Spring Cloud Zookeeper reads the payload as. */
const PAYLOAD_CLASS = 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance';

/** Metadata that Spring Cloud reads. */
const STATUS = 'instance_status';
const ZONE = 'zone';
const WEIGHT = 'weight';

/** Metadata that calls read: the path below which an instance serves. */
const CONTEXT_PATH = 'contextPath';

/** Spring's default: `{scheme}://{address}:{port}`. */
const URI_SPEC = {
  parts: [
    { value: 'scheme', variable: true },
    { value: '://', variable: false },
    { value: 'address', variable: true },
    { value: ':', variable: false },
    { value: 'port', variable: true },
  ],
};

/**
 * The record of a registration.
 *
 * Spring needs a port, and takes `sslPort` for the port of an instance that has one.
 *
 * @param registeredAt milliseconds since the epoch
 * @throws what a payload's own function throws
 */
export function encodeCuratorInstance(
  registration: Registration,
  registeredAt: number,
  payload: CuratorPayload = 'spring',
): Buffer {
  const { service, instanceId, host, port, scheme, status } = registration;
  return Buffer.from(
    JSON.stringify({
      name: service,
      id: instanceId,
      address: host,
      port,
      sslPort: scheme === 'https' ? port : null,
      payload: payloadOf(registration, payload),
      registrationTimeUTC: registeredAt,
      serviceType: 'DYNAMIC',
      uriSpec: URI_SPEC,
      // Plain Curator hands out what is enabled. True is not written, as Curator itself doesn't: older readers don't know it.
      ...(status === 'UP' ? {} : { enabled: false }),
    }),
  );
}

function payloadOf(registration: Registration, payload: CuratorPayload): unknown {
  if (payload === 'none') return null;
  if (typeof payload === 'function') return payload(registration) ?? null;
  const { service, instanceId, status, metadata, weight, zone } = registration;
  return {
    '@class': PAYLOAD_CLASS,
    id: instanceId,
    name: service,
    metadata: {
      ...metadata,
      [STATUS]: status,
      ...(weight === 1 ? {} : { [WEIGHT]: String(weight) }),
      ...(zone === undefined ? {} : { [ZONE]: zone }),
    },
  };
}

/**
 * The instance that a record describes, whoever wrote it: Curator, Spring Cloud or we.
 *
 * @param node name of the record's node, its id when it has none
 * @throws DiscoveryError `INVALID_INSTANCE`
 */
export function decodeCuratorInstance(
  service: string,
  node: string,
  data: Uint8Array,
  backend: string,
): ServiceInstance {
  const record = parseObject(data);
  const { scheme, host, port, path } = addressOf(record);
  const metadata = metadataOf(record);
  const { [STATUS]: status, [ZONE]: zone, [WEIGHT]: weight, ...rest } = metadata;
  const weightNumber = typeof weight === 'string' && /^\d{1,9}(\.\d+)?$/.test(weight) ? Number(weight) : 1;
  return createServiceInstance({
    service,
    id: textField(record, 'id') ?? node,
    host,
    port,
    scheme,
    status: statusOf(status, field(record, 'enabled') !== false),
    metadata: path === '' || Object.hasOwn(rest, CONTEXT_PATH) ? rest : { ...rest, [CONTEXT_PATH]: path },
    weight: weightNumber,
    ...(typeof zone === 'string' && zone !== '' ? { zone } : {}),
    backend,
  });
}

/** Where the instance is reached: as its template says, else by address and port. */
function addressOf(record: JsonObject): SpecifiedAddress {
  const sslPort = portField(record, 'sslPort');
  const plainPort = portField(record, 'port');
  const specified = addressOfUriSpec(record, { port: plainPort, sslPort });
  if (specified !== undefined) return specified;
  const host = textField(record, 'address');
  if (host === undefined)
    throw new DiscoveryError('INVALID_INSTANCE', 'the record has no address', { field: 'address' });
  const port = sslPort ?? plainPort;
  if (port === undefined) throw new DiscoveryError('INVALID_INSTANCE', 'the record has no port', { field: 'port' });
  return { scheme: sslPort === undefined ? 'http' : 'https', host, port, path: '' };
}

/** The metadata of Spring's payload, or of one that is a plain map. */
function metadataOf(record: JsonObject): Record<string, unknown> {
  const payload = field(record, 'payload');
  if (!isObject(payload)) return {};
  const metadata = field(payload, 'metadata');
  const source = isObject(metadata) ? metadata : textField(payload, '@class')?.startsWith('java.util.') ? payload : {};
  // Names that would reach a prototype are nobody's metadata; the rest of the record is good.
  return Object.fromEntries(Object.entries(source).filter(([key]) => key !== '@class' && !isPrototypeKey(key)));
}

/** What isn't enabled isn't called, whatever the metadata say. */
function statusOf(status: unknown, enabled: boolean): InstanceStatus {
  const said = toStatus(status);
  return enabled || said !== 'UP' ? said : 'OUT_OF_SERVICE';
}

/** As Spring's load balancer: no status is UP, and letters' case doesn't matter. */
function toStatus(status: unknown): InstanceStatus {
  if (typeof status !== 'string' || status === '') return 'UP';
  const known = status.toUpperCase();
  return INSTANCE_STATUSES.find((one) => one === known) ?? 'UNKNOWN';
}

/** A port, which Java's reader also takes as a text; undefined for null. */
function portField(record: JsonObject, key: string): number | undefined {
  const value = field(record, key);
  if (value === undefined || value === null) return undefined;
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (typeof port === 'number' && Number.isInteger(port) && port > 0 && port <= 65535) return port;
  throw new DiscoveryError('INVALID_INSTANCE', `${key} must be a port`, { field: key });
}
