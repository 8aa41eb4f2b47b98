import { anything, either, listOf, satisfying, text, type Check } from '../../../../backend/index.js';
import { describe, DiscoveryError, isPrototypeKey, keepAligned } from '../../../../model/index.js';
import { flagAt, isObject, numberAt, objectsAt, textAt, type Json } from '../json.js';

/** The group of whatever names none. */
export const DEFAULT_GROUP = 'DEFAULT_GROUP';

/** The cluster of instances that name none. */
export const DEFAULT_CLUSTER = 'DEFAULT';

/** An instance as Nacos knows it. */
export interface NacosInstance {
  readonly instanceId?: string;
  readonly ip: string;
  readonly port: number;
  /** 0 to 10000; 0 takes no traffic. */
  readonly weight: number;
  readonly healthy: boolean;
  readonly enabled: boolean;
  readonly ephemeral: boolean;
  readonly clusterName: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What a user says of an instance; everything else has a default. */
export interface NacosInstanceInput {
  readonly ip: string;
  readonly port: number;
  /** @default 1 */
  readonly weight?: number;
  /** @default true */
  readonly healthy?: boolean;
  /** @default true */
  readonly enabled?: boolean;
  /** Lives as long as the connection (or its beats); the other kind stays until it is deregistered. @default true */
  readonly ephemeral?: boolean;
  /** @default 'DEFAULT' */
  readonly clusterName?: string;
  /** @default {} */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Names a service. */
export interface NacosServiceName {
  readonly serviceName: string;
  /** @default 'DEFAULT_GROUP' */
  readonly groupName?: string;
}

/** A service with its instances, as the server last said. Immutable. */
export interface NacosServiceInfo {
  readonly name: string;
  readonly groupName: string;
  readonly clusters: string;
  /** The server's time of this list; newer lists have a larger one, unless another server sent them. */
  readonly lastRefTime: number;
  readonly hosts: readonly NacosInstance[];
  /** So few are healthy that the server gives out all of them. */
  readonly reachProtectionThreshold: boolean;
}

/** What changed between two lists of a service. */
export interface NacosInstancesChange {
  readonly added: readonly NacosInstance[];
  readonly removed: readonly NacosInstance[];
  /** The instances as they are now. */
  readonly changed: readonly NacosInstance[];
}

/** A record that was no instance. */
export type SkippedRecord = (record: string, error: DiscoveryError) => void;

/** What tells the instances of a service apart: `ip#port#cluster`. */
export function instanceKey(instance: Pick<NacosInstance, 'ip' | 'port' | 'clusterName'>): string {
  return `${instance.ip}#${instance.port}#${instance.clusterName}`;
}

/**
 * Checks what a user says of an instance and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_INSTANCE`, naming the field
 */
export function toNacosInstance(input: NacosInstanceInput): NacosInstance {
  const { ip, port, weight = 1, clusterName, metadata = {} } = input;
  if (typeof ip !== 'string' || ip === '' || /[\s#]/.test(ip) || ip.length > 128)
    throw invalid('ip', 'must be an address', ip);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw invalid('port', 'must be from 0 to 65535', port);
  if (typeof weight !== 'number' || !(weight >= 0 && weight <= 10_000)) {
    throw invalid('weight', 'must be a number from 0 to 10000', weight);
  }
  const cluster = clusterName === undefined || clusterName === '' ? DEFAULT_CLUSTER : clusterName;
  if (typeof cluster !== 'string' || !/^[0-9A-Za-z_-]{1,64}$/.test(cluster)) {
    throw invalid('clusterName', 'must be 1 to 64 letters, digits, _ and -', cluster);
  }
  if (!isObject(metadata)) throw invalid('metadata', 'must be an object', metadata);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw invalid(`metadata.${key}`, 'must be a text', value);
  }
  checkIntervals(metadata);
  return Object.freeze({
    ip,
    port,
    weight,
    healthy: input.healthy ?? true,
    enabled: input.enabled ?? true,
    ephemeral: input.ephemeral ?? true,
    clusterName: cluster,
    metadata: Object.freeze({ ...metadata }),
  });
}

/**
 * The fields of an instance as the server wants them. Without the service's name: the checks of 2.3 refuse its full form
 * within a batch.
 */
export function instanceJson(instance: NacosInstance): Json {
  const { ip, port, weight, healthy, enabled, ephemeral, clusterName, metadata } = instance;
  return { ip, port, weight, healthy, enabled, ephemeral, clusterName, metadata };
}

/**
 * Reads an instance that the server sent.
 *
 * @throws DiscoveryError `INVALID_INSTANCE`, naming the field
 */
export function parseInstance(json: Json): NacosInstance {
  const ip = textAt(json, 'ip');
  if (ip === undefined || ip === '') throw invalid('ip', 'must be a text', json['ip']);
  const port = numberAt(json, 'port');
  if (port === undefined || !Number.isInteger(port) || port < 0 || port > 65535) {
    throw invalid('port', 'must be from 0 to 65535', json['port']);
  }
  const given = json['metadata'] ?? {};
  if (!isObject(given)) throw invalid('metadata', 'must be an object', given);
  const metadata = Object.create(null) as Record<string, string>;
  for (const [key, value] of Object.entries(given)) {
    if (isPrototypeKey(key)) throw invalid(`metadata.${key}`, 'is a reserved word of JavaScript objects', key);
    if (typeof value === 'string') metadata[key] = value;
    else if (typeof value === 'number' || typeof value === 'boolean') metadata[key] = String(value);
  }
  const weight = numberAt(json, 'weight') ?? 1;
  if (!(weight >= 0)) throw invalid('weight', 'must not be negative', weight);
  const instanceId = textAt(json, 'instanceId');
  const cluster = textAt(json, 'clusterName');
  return Object.freeze({
    ...(instanceId === undefined || instanceId === '' ? {} : { instanceId }),
    ip,
    port,
    weight,
    healthy: flagAt(json, 'healthy') ?? true,
    enabled: flagAt(json, 'enabled') ?? true,
    ephemeral: flagAt(json, 'ephemeral') ?? true,
    clusterName: cluster === undefined || cluster === '' ? DEFAULT_CLUSTER : cluster,
    metadata: Object.freeze(metadata),
  });
}

/**
 * Reads a service that the server sent; instances that are none are skipped. Undefined when it isn't a service at all
 * or has no list, which is not the same as an empty one.
 */
export function parseServiceInfo(value: unknown, skipped: SkippedRecord): NacosServiceInfo | undefined {
  if (!isObject(value)) return undefined;
  const full = textAt(value, 'name') ?? textAt(value, 'dom');
  if (full === undefined || !Array.isArray(value['hosts'])) return undefined;
  const at = full.indexOf('@@');
  const name = at < 0 ? full : full.slice(at + 2);
  const groupName = textAt(value, 'groupName') ?? (at < 0 ? DEFAULT_GROUP : full.slice(0, at));
  const hosts = new Map<string, NacosInstance>();
  for (const host of objectsAt(value, 'hosts')) {
    try {
      const instance = parseInstance(host);
      hosts.set(instanceKey(instance), instance);
    } catch (error) {
      skipped(`${groupName}@@${name} ${textAt(host, 'ip') ?? '?'}:${describe(host['port'])}`, asDiscoveryError(error));
    }
  }
  return Object.freeze({
    name,
    groupName,
    clusters: textAt(value, 'clusters') ?? '',
    lastRefTime: numberAt(value, 'lastRefTime') ?? 0,
    hosts: Object.freeze([...hosts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, instance]) => instance)),
    reachProtectionThreshold: flagAt(value, 'reachProtectionThreshold') ?? false,
  });
}

function hasSameKey(a: NacosInstance, b: NacosInstance): boolean {
  return a.port === b.port && a.ip === b.ip && a.clusterName === b.clusterName;
}

/** True when the two say the same of one instance. */
export function sameNacosInstance(a: NacosInstance, b: NacosInstance): boolean {
  if (a === b) return true;
  const keys = Object.keys(a.metadata);
  return (
    hasSameKey(a, b) &&
    a.weight === b.weight &&
    a.healthy === b.healthy &&
    a.enabled === b.enabled &&
    a.ephemeral === b.ephemeral &&
    keys.length === Object.keys(b.metadata).length &&
    keys.every((key) => a.metadata[key] === b.metadata[key])
  );
}

/** What is different in `after`. */
export function diffNacosInstances(
  before: readonly NacosInstance[],
  after: readonly NacosInstance[],
): NacosInstancesChange {
  const old = new Map(before.map((instance) => [instanceKey(instance), instance]));
  const added: NacosInstance[] = [];
  const changed: NacosInstance[] = [];
  for (const instance of after) {
    const previous = old.get(instanceKey(instance));
    if (previous === undefined) added.push(instance);
    else if (!sameNacosInstance(previous, instance)) changed.push(instance);
    old.delete(instanceKey(instance));
  }
  return { added, removed: [...old.values()], changed };
}

/** `after`, with the objects that `before` had for what didn't change; `before` itself when nothing did. */
export function keepNacosIdentity(
  before: readonly NacosInstance[],
  after: readonly NacosInstance[],
): readonly NacosInstance[] {
  return keepAligned<NacosInstance>(before, after, {
    same: sameNacosInstance,
    sameKey: hasSameKey,
    keyOf: instanceKey,
  });
}

/** Those of the given clusters; all when none is given. */
export function inClusters(
  hosts: readonly NacosInstance[],
  clusters: readonly string[] | undefined,
): readonly NacosInstance[] {
  if (clusters === undefined || clusters.length === 0) return hosts;
  return hosts.filter((host) => clusters.includes(host.clusterName));
}

/**
 * Picks one by weight among those that are healthy, enabled and have a weight; undefined when there is none.
 *
 * @param random a number from 0 (inclusive) to 1 (exclusive)
 */
export function pickByWeight(hosts: readonly NacosInstance[], random: number): NacosInstance | undefined {
  const usable = hosts.filter((host) => host.healthy && host.enabled && host.weight > 0);
  const total = usable.reduce((sum, host) => sum + host.weight, 0);
  let rest = random * total;
  for (const host of usable) {
    rest -= host.weight;
    if (rest < 0) return host;
  }
  return usable.at(-1);
}

/** What may be asked for of a service: a filter that is misspelt must not be answered as if it weren't there. */
export const SERVICE_CHECKS: Readonly<Record<string, Check>> = {
  serviceName: anything,
  groupName: anything,
  clusters: either('names of clusters', text, listOf(text)),
};

/** What may be asked for in a list of instances. */
export const LIST_CHECKS: Readonly<Record<string, Check>> = {
  ...SERVICE_CHECKS,
  healthyOnly: satisfying('true, false or null', (value) => value === null || typeof value === 'boolean'),
};

/**
 * Checks a service's name and group and fills in the default.
 *
 * @throws DiscoveryError `INVALID_NAME`, naming the field
 */
export function checkServiceName(name: NacosServiceName): { readonly service: string; readonly group: string } {
  const group = name.groupName === undefined || name.groupName === '' ? DEFAULT_GROUP : name.groupName;
  const { serviceName: service } = name;
  const problem = (field: string, value: unknown): DiscoveryError =>
    new DiscoveryError(
      'INVALID_NAME',
      `${field} must be 1 to 255 characters without blanks, @@, slashes and control characters, got ${describe(value)}`,
      { field },
    );
  if (!isNacosName(service)) throw problem('serviceName', service);
  if (!isNacosName(group) || group.length > 128) throw problem('groupName', group);
  return { service, group };
}

function isNacosName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length <= 255 &&
    /^[^\s/\\\u0000-\u001f\u007f]+$/.test(value) &&
    !value.includes('@@') &&
    !value.startsWith('@') &&
    !isPrototypeKey(value) &&
    value !== '.' &&
    value !== '..'
  );
}

/** A beat must come well within the time after which its absence counts. */
function checkIntervals(metadata: Json): void {
  const beat = numberAt(metadata, 'preserved.heart.beat.interval') ?? 5000;
  for (const key of ['preserved.heart.beat.timeout', 'preserved.ip.delete.timeout']) {
    const limit = numberAt(metadata, key);
    if (limit !== undefined && limit < beat) {
      throw invalid(`metadata.${key}`, `must not be less than the beat interval of ${beat} ms`, limit);
    }
  }
}

function asDiscoveryError(error: unknown): DiscoveryError {
  return error instanceof DiscoveryError ? error : new DiscoveryError('INVALID_INSTANCE', String(error));
}

function invalid(field: string, problem: string, value: unknown): DiscoveryError {
  return new DiscoveryError('INVALID_INSTANCE', `${field} ${problem}, got ${describe(value)}`, { field });
}
