import { createHash } from 'node:crypto';
import {
  asObject,
  decodeLeaseRecord,
  encodeLeaseRecord,
  formatByExtension,
  invalidField,
  tagsFrom,
  type LeaseRecord,
} from '../../backend/index.js';
import {
  authority,
  createMetadata,
  createServiceInstance,
  defined,
  describe,
  DiscoveryError,
  INSTANCE_STATUSES,
  isPrototypeKey,
  nameProblem,
  toDiscoveryError,
  type ConfigFormat,
  type Registration,
  type ServiceInstance,
} from '../../model/index.js';
import { firstOf } from './connection/headers.js';
import { escapeToken, unescapeToken, type KeyValueEntry } from './jetstream/key-value.codec.js';
import type { ServiceInfo } from './service/protocol.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The key of an instance: `<service>.<instance id>`, both escaped. */
export function presenceKey(service: string, instanceId: string): string {
  return `${escapeToken(service)}.${escapeToken(instanceId)}`;
}

/** The service that a key belongs to; undefined for a key of somebody else's making. */
export function serviceOfKey(key: string): string | undefined {
  const [service, id, ...more] = key.split('.');
  if (service === undefined || id === undefined || more.length > 0) return undefined;
  const name = unescapeToken(service);
  return name === undefined || nameProblem(name) !== undefined ? undefined : name;
}

/** The value of an instance's key. */
export function encodePresence(record: LeaseRecord): Uint8Array {
  return encoder.encode(JSON.stringify(encodeLeaseRecord(record)));
}

/**
 * Reads the value of an instance's key, which anybody may have written.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` or `INVALID_NAME`, naming the field
 */
export function decodePresence(value: Uint8Array): LeaseRecord {
  return decodeLeaseRecord(asObject(parse(value), 'the record'));
}

/**
 * Metadata keys by which a micro service says where it answers HTTP. `url` alone makes it an instance; the others are
 * optional. They don't appear in the instance's own metadata.
 */
export const HTTP_METADATA = {
  /** Base URL: `http://10.0.0.5:8080`. */
  url: 'http.url',
  /** One of the instance statuses. @default UP */
  status: 'http.status',
  /** @default 1 */
  weight: 'http.weight',
  zone: 'http.zone',
  /** A JSON list. */
  tags: 'http.tags',
  /** The instance's id. @default the id of the micro service */
  id: 'http.id',
} as const;

/** The metadata by which a micro service says what `registration` says. */
export function toHttpMetadata(registration: Registration): Record<string, string> {
  const { metadata, host, port, scheme, status, weight, zone, tags, instanceId } = registration;
  const url = `${scheme}://${authority(host, port)}`;
  return {
    ...metadata,
    [HTTP_METADATA.url]: url,
    [HTTP_METADATA.id]: instanceId,
    ...(status === 'UP' ? {} : { [HTTP_METADATA.status]: status }),
    ...(weight === 1 ? {} : { [HTTP_METADATA.weight]: String(weight) }),
    ...(zone === undefined ? {} : { [HTTP_METADATA.zone]: zone }),
    ...(tags.length === 0 ? {} : { [HTTP_METADATA.tags]: JSON.stringify(tags) }),
  };
}

/**
 * The HTTP instance that a micro service describes in its metadata; undefined for one without.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` when what it says is none
 */
export function toHttpInstance(info: ServiceInfo, service: string, backend: string): ServiceInstance | undefined {
  const { metadata } = info;
  const given = metadata[HTTP_METADATA.url];
  if (given === undefined) return undefined;
  if (!URL.canParse(given)) throw invalidField(HTTP_METADATA.url, 'must be a base URL', given);
  const url = new URL(given);
  const scheme = url.protocol.slice(0, -1);
  const port = url.port === '' ? { http: 80, https: 443 }[scheme] : Number(url.port);
  if (port === undefined || url.username !== '' || url.password !== '' || !['', '/'].includes(url.pathname)) {
    throw invalidField(HTTP_METADATA.url, 'must be a scheme, a host and a port, and nothing else', given);
  }
  const status = metadata[HTTP_METADATA.status] ?? 'UP';
  const known = INSTANCE_STATUSES.find((one) => one === status);
  const zone = metadata[HTTP_METADATA.zone];
  const own: ReadonlySet<string> = new Set(Object.values(HTTP_METADATA));
  return createServiceInstance({
    service,
    id: metadata[HTTP_METADATA.id] ?? info.id,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port,
    scheme,
    status: known ?? 'UNKNOWN',
    weight: Number(metadata[HTTP_METADATA.weight] ?? '1'),
    metadata: createMetadata(
      Object.fromEntries(Object.entries(metadata).filter(([key]) => !own.has(key) && !isPrototypeKey(key))),
    ),
    tags: tagsFrom(metadata[HTTP_METADATA.tags]),
    backend,
    ...defined({ zone }),
  });
}

/** The name of the header that says what format a configuration document has. */
export const FORMAT_HEADER = 'Nsd-Config-Format';

/** Characters of a document's id that stay as they are in its key. */
const PLAIN = './';

/** The key of a configuration document: readable where the id is plain, escaped where it is not. */
export function configKey(id: string): string {
  // A key has no dot at its ends and no two in a row.
  return escapeToken(id, PLAIN)
    .replace(/^\./, '=2E')
    .replace(/\.$/, '=2E')
    .replace(/\.(?=\.)/g, '=2E');
}

/** The id of the document that a key holds; undefined for a key that is no document's. */
export function idOfConfigKey(key: string): string | undefined {
  const id = unescapeToken(key.replaceAll('=2E', '.'), PLAIN);
  if (id === undefined || configKey(id) !== key) return undefined;
  return id.split('/').every((part) => nameProblem(part) === undefined) ? id : undefined;
}

/** The format of a document: what was said when it was published, else by its extension, else YAML. */
export function formatOfEntry(id: string, entry: KeyValueEntry): ConfigFormat {
  const said = firstOf(entry.headers, FORMAT_HEADER);
  if (said === 'yaml' || said === 'json' || said === 'properties' || said === 'text') return said;
  return formatByExtension(id) ?? 'yaml';
}

/**
 * The revision of a document: the bucket's number with a digest of the content, so that equal revisions mean equal
 * content also when the bucket was made anew and counts from the beginning.
 */
export function toRevision(sequence: number, content: Uint8Array): string {
  return `${sequence}-${createHash('sha256').update(content).digest('hex').slice(0, 12)}`;
}

/** The bucket's number in a revision. @throws DiscoveryError `CONFIG_CONFLICT` for what is no revision of ours */
export function sequenceOf(revision: string): number {
  const number = /^([1-9][0-9]{0,15})-[0-9a-f]{12}$/.exec(revision)?.[1];
  if (number !== undefined) return Number(number);
  throw new DiscoveryError('CONFIG_CONFLICT', `${describe(revision)} is no revision of this backend; read it again`, {
    field: 'ifRevision',
  });
}

function parse(value: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(value));
  } catch (error) {
    throw toDiscoveryError(error, 'INVALID_INSTANCE', 'the record is no JSON');
  }
}
