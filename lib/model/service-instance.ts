import { DiscoveryError } from './errors.js';
import { assertServiceName, describe, isPrototypeKey } from './names.js';

/**
 * What a registry says of an instance. Only `UP` instances are called.
 * The words are Eureka's; every backend maps its own to them.
 */
export type InstanceStatus = 'STARTING' | 'UP' | 'DOWN' | 'OUT_OF_SERVICE' | 'UNKNOWN';

/** Every {@link InstanceStatus}. */
export const INSTANCE_STATUSES: readonly InstanceStatus[] = Object.freeze([
  'STARTING',
  'UP',
  'DOWN',
  'OUT_OF_SERVICE',
  'UNKNOWN',
] as const);

/** String properties of an instance; without a prototype, so that any key is safe to read. */
export type Metadata = Readonly<Record<string, string>>;

/** One process that serves one service, as a registry described it. Immutable. */
export interface ServiceInstance {
  /** The service's name, spelled as the one who asked spelled it. */
  readonly service: string;
  /**
   * What its record calls it, whoever else is there. Unique within the service on its backend; on Consul within one agent,
   * as Consul has it.
   */
  readonly id: string;
  /** Host name or address; an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** `http` or `https`, or the scheme of another protocol. */
  readonly scheme: string;
  readonly status: InstanceStatus;
  readonly metadata: Metadata;
  /** Labels without values, sorted, each once; empty where the product has none. */
  readonly tags: readonly string[];
  /** Share of the traffic relative to the others; 0 takes none. */
  readonly weight: number;
  /** Zone, cluster or datacentre that it runs in, when known. */
  readonly zone?: string;
  /** Name of the backend that reported it. */
  readonly backend: string;
  /** `scheme://host:port`: its identity across backends, and the base of its URLs. */
  readonly url: string;
}

/** A host name or IPv4 address, or an IPv6 address without brackets (and without a zone index, which no URL takes). */
const HOST = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$/;

/** A host whose last label is a number: a URL takes it for an IPv4 address, so it must be a right one. */
const NUMERIC = /(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/;

/** What {@link createServiceInstance} needs; everything else has a default. */
export interface ServiceInstanceInput {
  readonly service: string;
  /** @default `host:port` */
  readonly id?: string;
  readonly host: string;
  readonly port: number;
  /** @default 'http' */
  readonly scheme?: string;
  /** @default 'UP' */
  readonly status?: InstanceStatus;
  /** @default {} */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** @default [] */
  readonly tags?: readonly string[];
  /** @default 1 */
  readonly weight?: number;
  readonly zone?: string;
  readonly backend: string;
}

/**
 * Builds an instance from what a registry said, checking every field: a registry's data is input from strangers.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` (or `INVALID_NAME`), naming the field
 */
export function createServiceInstance(input: ServiceInstanceInput): ServiceInstance {
  assertObject(input, 'an instance');
  assertServiceName(input.service, 'service');
  assertHost(input.host);
  assertPort(input.port, 'port');
  const scheme = input.scheme ?? 'http';
  if (typeof scheme !== 'string' || !/^[a-z][a-z0-9+.-]{0,31}$/.test(scheme))
    throw invalid('scheme', 'must be a lower-case URL scheme', scheme);
  const weight = input.weight ?? 1;
  if (typeof weight !== 'number' || !(weight >= 0 && weight <= 1e9)) {
    throw invalid('weight', 'must be a number from 0 to 1e9', weight);
  }
  const status = input.status ?? 'UP';
  if (!INSTANCE_STATUSES.includes(status)) {
    throw invalid('status', `must be one of ${INSTANCE_STATUSES.join(', ')}`, status);
  }
  const id = input.id ?? `${input.host}:${input.port}`;
  if (typeof id !== 'string' || id === '' || id.length > 1024) throw invalid('id', 'must be a text', id);
  if (input.zone !== undefined && typeof input.zone !== 'string') throw invalid('zone', 'must be a text', input.zone);
  return Object.freeze({
    service: input.service,
    id,
    host: input.host,
    port: input.port,
    scheme,
    status,
    metadata: createMetadata(input.metadata ?? {}),
    tags: createTags(input.tags ?? []),
    weight,
    ...(input.zone === undefined || input.zone === '' ? {} : { zone: input.zone }),
    backend: input.backend,
    // Host names know no case: one instance must not be two because two registries spell it differently.
    url: `${scheme}://${authority(input.host.toLowerCase(), input.port)}`,
  });
}

/**
 * Copies string, number and boolean values into a frozen object without a prototype; other values are left out.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` for a key that would reach the prototype, or when it is no object
 */
export function createMetadata(input: Readonly<Record<string, unknown>>): Metadata {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw invalid('metadata', 'must be an object', input);
  }
  const metadata = Object.create(null) as Record<string, string>;
  for (const [key, value] of Object.entries(input)) {
    if (isPrototypeKey(key)) throw invalid(`metadata.${key}`, 'is a reserved word of JavaScript objects', key);
    if (typeof value === 'string') metadata[key] = value;
    else if (typeof value === 'number' || typeof value === 'boolean') metadata[key] = String(value);
  }
  return Object.freeze(metadata);
}

const NO_TAGS: readonly string[] = Object.freeze([]);

/**
 * A frozen list of the tags, sorted, each once; what is no text is left out.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` when it is no list
 */
export function createTags(input: readonly unknown[]): readonly string[] {
  if (!Array.isArray(input)) throw invalid('tags', 'must be a list', input);
  if (input.length === 0) return NO_TAGS;
  return Object.freeze(
    [...new Set(input.filter((tag): tag is string => typeof tag === 'string' && tag !== ''))].sort(),
  );
}

/** `host:port`, with brackets around an IPv6 address. */
export function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** @throws DiscoveryError `INVALID_INSTANCE` unless `value` is an object */
export function assertObject(value: unknown, what: string): void {
  if (typeof value === 'object' && value !== null) return;
  throw new DiscoveryError('INVALID_INSTANCE', `${what} must be an object, got ${describe(value)}`);
}

/** @throws DiscoveryError `INVALID_INSTANCE` unless `value` is a whole number from 1 to 65535 */
export function assertPort(value: unknown, field: string): asserts value is number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 65535) {
    throw invalid(field, 'must be a whole number from 1 to 65535', value);
  }
}

/** @throws DiscoveryError `INVALID_INSTANCE` unless `value` can stand as the host of a URL */
export function assertHost(value: unknown, field = 'host'): asserts value is string {
  if (typeof value !== 'string' || value.length > 253 || !HOST.test(value) || !isAddressOrName(value)) {
    throw invalid(field, 'must be a host name or an address', value);
  }
}

/** What looks like an address must be one, or no URL could be made of it. */
function isAddressOrName(host: string): boolean {
  if (host.includes(':')) return URL.canParse(`http://[${host}]`);
  return !NUMERIC.test(host) || IPV4.test(host);
}

/** True when the two carry the same data (the object identity doesn't matter). */
export function sameInstance(a: ServiceInstance, b: ServiceInstance): boolean {
  return (
    a === b ||
    (a.url === b.url &&
      a.id === b.id &&
      a.service === b.service &&
      a.status === b.status &&
      a.weight === b.weight &&
      a.zone === b.zone &&
      a.backend === b.backend &&
      sameTags(a.tags, b.tags) &&
      sameMetadata(a.metadata, b.metadata))
  );
}

function sameTags(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((tag, at) => tag === b[at]));
}

/** True when the two hold the same keys and values. */
export function sameMetadata(a: Metadata, b: Metadata): boolean {
  if (a === b) return true;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function invalid(field: string, problem: string, value: unknown): DiscoveryError {
  return new DiscoveryError('INVALID_INSTANCE', `${field} ${problem}, got ${describe(value)}`, { field });
}
