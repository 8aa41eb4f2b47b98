import { isIP } from 'node:net';
import {
  assertHost,
  assertPort,
  createMetadata,
  createServiceInstance,
  defined,
  DiscoveryError,
  isPrototypeKey,
  messageOf,
  nameProblem,
  type InstanceStatus,
  type Registration,
  type ServiceInstance,
} from '../../../model/index.js';
import { field, isObject, parseObject, textField, type JsonObject } from '../json.js';

/** Where a service answers: its host is to be resolved in the family. */
export interface AsabAddress {
  readonly host: string;
  readonly port: number;
  /** IPv4 (4) or IPv6 (6). */
  readonly family: 4 | 6;
}

/** What one node under `run` says. */
export interface AsabRecord {
  /** The node's name. */
  readonly node: string;
  /** The JSON as it is. */
  readonly raw: JsonObject;
  /** Id type → ids, `instance_id`, `service_id`, `node_id` and `site_id` among them. */
  readonly ids: ReadonlyMap<string, readonly string[]>;
  /** Where it can be called; empty when it can't be. */
  readonly addresses: readonly AsabAddress[];
  /** As instances of its `service_id`: one for each port; none without a `service_id`. */
  readonly instances: readonly ServiceInstance[];
  /** Why it can't be called, when that is a fault of the record. */
  readonly problem: DiscoveryError | undefined;
  /** Ours alone: tells the lease that wrote it. */
  readonly token: string | undefined;
}

/** The field that holds what ASAB has no word for. ASAB itself leaves unknown fields alone. */
const OURS = 'nestjs';

/** The ids that an application has by itself; they override custom ids of the same name. */
const BUILT_IN = ['instance_id', 'service_id', 'node_id', 'site_id'] as const;

/** Fields that instances carry as metadata. */
const SHOWN = ['appclass', 'version', 'launch_time', ...BUILT_IN] as const;

/** What the record says besides the registration. */
export interface AsabFacts {
  readonly host: string;
  readonly appClass: string;
  readonly launchTime: string;
  readonly processId: number;
  readonly containerized: boolean;
  readonly ids: Readonly<Partial<Record<(typeof BUILT_IN)[number], string>>>;
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly version: string | undefined;
  readonly discovery: ReadonlyMap<string, readonly string[]>;
  /** Addresses of this machine. */
  readonly listen: readonly string[];
}

/**
 * The record of a registration. While it isn't UP it has no `web`, so that ASAB's own clients leave it out; what ours
 * need to know of it stands in the field `nestjs`.
 */
export function encodeAsabRecord(registration: Registration, facts: AsabFacts, token: string): Buffer {
  const { instanceId, port, scheme, status, metadata, weight, zone } = registration;
  const discovery = Object.fromEntries(facts.discovery);
  const web = facts.listen.map((ip) => (ip.includes(':') ? [ip, port, 0, 0] : [ip, port]));
  return Buffer.from(
    JSON.stringify({
      host: facts.host,
      appclass: facts.appClass,
      launch_time: facts.launchTime,
      process_id: facts.processId,
      ...facts.ids,
      ...(facts.containerized ? { containerized: true } : {}),
      ...defined({ version: facts.version }),
      ...facts.manifest,
      ...(facts.discovery.size === 0 ? {} : { discovery }),
      ...(status === 'UP' ? { web } : {}),
      [OURS]: {
        token,
        id: instanceId,
        port,
        ...(scheme === 'http' ? {} : { scheme }),
        ...(status === 'UP' ? {} : { status }),
        ...(weight === 1 ? {} : { weight }),
        ...defined({ zone }),
        ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
      },
    }),
  );
}

/**
 * Reads a record. One that can't be called says why in `problem`; it is still one of those that are advertised.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` when it isn't the JSON of an object
 */
export function decodeAsabRecord(node: string, data: Uint8Array, backend: string): AsabRecord {
  const raw = parseObject(data);
  const ours = field(raw, OURS);
  const extension = isObject(ours) ? ours : {};
  const ids = idsOf(raw);
  const base = { node, raw, ids, token: textField(extension, 'token') };
  try {
    const host = field(raw, 'host');
    if (host === undefined || host === null) throw invalid('has no host', 'host');
    assertHost(host);
    const addresses = addressesOf(host, raw, extension);
    const instances = instancesOf({ host, node, ids, raw, extension, addresses, backend });
    return Object.freeze({ ...base, addresses, instances, problem: undefined });
  } catch (error) {
    const problem =
      error instanceof DiscoveryError
        ? error
        : new DiscoveryError('INVALID_INSTANCE', messageOf(error), { cause: error });
    return Object.freeze({ ...base, addresses: [], instances: [], problem });
  }
}

function idsOf(raw: JsonObject): ReadonlyMap<string, readonly string[]> {
  const ids = new Map<string, readonly string[]>();
  const custom = field(raw, 'discovery');
  if (isObject(custom)) {
    for (const [type, values] of Object.entries(custom)) {
      if (isPrototypeKey(type) || !Array.isArray(values)) continue;
      const texts = values.map(idText).filter((id) => id !== undefined);
      if (texts.length > 0) ids.set(type, Object.freeze([...new Set(texts)]));
    }
  }
  for (const type of BUILT_IN) {
    const id = idText(field(raw, type));
    if (id !== undefined) ids.set(type, Object.freeze([id]));
  }
  return ids;
}

function familyOf(ip: string): 4 | 6 | undefined {
  const family = isIP(ip);
  return family === 4 || family === 6 ? family : undefined;
}

function idText(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' && value.length <= 1024 ? value : undefined;
}

function addressesOf(host: string, raw: JsonObject, extension: JsonObject): readonly AsabAddress[] {
  const web = field(raw, 'web');
  if (web === undefined || web === null) {
    // Ours, and not to be called at present.
    if (textField(extension, 'status') !== undefined) return [];
    throw invalid('has no web', 'web');
  }
  if (!Array.isArray(web)) throw invalid('has a web that is no list', 'web');
  const addresses = new Map<string, AsabAddress>();
  for (const entry of web) {
    if (!Array.isArray(entry)) throw invalid('has a web entry that is no list', 'web');
    const [ip, port] = entry as readonly unknown[];
    const family = ip === '0.0.0.0' ? 4 : ip === '::' ? 6 : ip === host ? familyOf(host) : undefined;
    // Bound to one address, and not known to be the one that others dial.
    if (family === undefined) continue;
    assertPort(port, 'web');
    addresses.set(`${family} ${port}`, Object.freeze({ host, port, family }));
  }
  return Object.freeze([...addresses.values()]);
}

interface InstanceParts {
  readonly host: string;
  readonly node: string;
  readonly ids: ReadonlyMap<string, readonly string[]>;
  readonly raw: JsonObject;
  readonly extension: JsonObject;
  readonly addresses: readonly AsabAddress[];
  readonly backend: string;
}

function instancesOf(parts: InstanceParts): readonly ServiceInstance[] {
  const { host, node, ids, raw, extension, addresses, backend } = parts;
  const service = ids.get('service_id')?.[0];
  if (service === undefined || nameProblem(service) !== undefined) return [];
  const status = textField(extension, 'status') as InstanceStatus | undefined;
  const ownPort = field(extension, 'port');
  const ports = new Set(addresses.map((address) => address.port));
  if (status !== undefined && typeof ownPort === 'number') ports.add(ownPort);
  const id = textField(extension, 'id') ?? ids.get('instance_id')?.[0] ?? node;
  const scheme = textField(extension, 'scheme');
  const weight = field(extension, 'weight');
  const zone = textField(extension, 'zone');
  const metadata = metadataOf(raw, extension);
  return Object.freeze(
    [...ports].map((port, index) =>
      createServiceInstance({
        service,
        id: index === 0 ? id : `${id}:${port}`,
        host,
        port,
        metadata,
        backend,
        ...defined({ scheme, status }),
        ...(typeof weight === 'number' ? { weight } : {}),
        ...defined({ zone }),
      }),
    ),
  );
}

function metadataOf(raw: JsonObject, extension: JsonObject): Readonly<Record<string, string>> {
  const shown = SHOWN.map((key) => [key, textField(raw, key)] as const).filter(([, value]) => value !== undefined);
  const own = field(extension, 'metadata');
  return createMetadata({ ...Object.fromEntries(shown), ...(isObject(own) ? own : {}) });
}

function invalid(problem: string, name: string): DiscoveryError {
  return new DiscoveryError('INVALID_INSTANCE', `the record ${problem}`, { field: name });
}
