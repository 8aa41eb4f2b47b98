import { formatByExtension, tagsFrom, textDocument } from '../../backend/index.js';
import {
  createServiceInstance,
  defined,
  DiscoveryError,
  describe,
  INSTANCE_STATUSES,
  isPrototypeKey,
  type ConfigDocument,
  type ConfigFormat,
  type InstanceStatus,
  type Registration,
  type ServiceInstance,
} from '../../model/index.js';
import {
  checkConfigKey,
  type ConfigAddress,
  type NacosConfigItem,
  type NacosConfigType,
} from './client/config/model.js';
import {
  checkServiceName,
  DEFAULT_CLUSTER,
  DEFAULT_GROUP,
  instanceKey,
  toNacosInstance,
  type NacosInstance,
} from './client/naming/model.js';

/** Metadata keys of ours: what Nacos has no field for. */
const KEYS = {
  /** The instance's id, when it isn't `service:host:port`. */
  id: 'nsd.id',
  /** The scheme, when it is neither http nor https. */
  scheme: 'nsd.scheme',
  /** The status, when it isn't UP. */
  status: 'nsd.status',
  /** The weight that it has when it is UP. */
  weight: 'nsd.weight',
  /** A JSON list. */
  tags: 'nsd.tags',
} as const;

const OWN_KEYS: ReadonlySet<string> = new Set(Object.values(KEYS));

/** What of a backend's settings goes into its registrations. */
export interface RegistrationDefaults {
  readonly cluster: string;
  readonly ephemeral: boolean;
  readonly enabled: boolean;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A service's name and group. */
export interface ServiceAddress {
  readonly service: string;
  readonly group: string;
}

/**
 * The service and group that a name of ours stands for: `name`, or `GROUP@@name`.
 *
 * @throws DiscoveryError `INVALID_NAME`
 */
export function toServiceAddress(name: string, group: string): ServiceAddress {
  const at = typeof name === 'string' ? name.indexOf('@@') : -1;
  return at < 0
    ? checkServiceName({ serviceName: name, groupName: group })
    : checkServiceName({ serviceName: name.slice(at + 2), groupName: at === 0 ? '@' : name.slice(0, at) });
}

/**
 * The instance that Nacos is told of. Nacos knows healthy or not, enabled or not, and a weight: an instance that isn't UP
 * gets the weight 0, which keeps every SDK from calling it, and its status in the metadata for those who understand it.
 * (`enabled: false` would hide it altogether: nobody could tell it from one that is gone.)
 *
 * @throws DiscoveryError `INVALID_INSTANCE`
 */
export function toNacos(registration: Registration, defaults: RegistrationDefaults): NacosInstance {
  const { host, port, scheme, status, weight, zone, tags, instanceId, service } = registration;
  const bounded = Math.min(weight, 10_000);
  const up = status === 'UP';
  const metadata: Record<string, string> = {
    ...defaults.metadata,
    ...registration.metadata,
    ...(scheme === 'https' ? { secure: 'true' } : {}),
    ...(scheme === 'https' || (scheme === 'http' && registration.metadata['secure'] !== 'true')
      ? {}
      : { [KEYS.scheme]: scheme }),
    ...defined({ zone }),
    ...(tags.length === 0 ? {} : { [KEYS.tags]: JSON.stringify(tags) }),
    ...(instanceId === defaultId(service, host, port, defaults.cluster) ? {} : { [KEYS.id]: instanceId }),
    ...(up ? {} : { [KEYS.status]: status, [KEYS.weight]: String(bounded) }),
  };
  return toNacosInstance({
    ip: host,
    port,
    weight: up ? bounded : 0,
    healthy: up || status === 'OUT_OF_SERVICE',
    enabled: defaults.enabled,
    ephemeral: defaults.ephemeral,
    clusterName: defaults.cluster,
    metadata,
  });
}

/**
 * The instance in our words.
 *
 * @param service the name that was asked for
 * @throws DiscoveryError `INVALID_INSTANCE` for what can't be called
 */
export function fromNacos(instance: NacosInstance, service: string, backend: string): ServiceInstance {
  const { ip, port, clusterName, metadata } = instance;
  const status = statusOf(instance);
  const kept = status === 'UP' ? undefined : Number(metadata[KEYS.weight] ?? NaN);
  const scheme = metadata[KEYS.scheme] ?? (metadata['secure'] === 'true' ? 'https' : 'http');
  const zone = metadata['zone'] ?? (clusterName === DEFAULT_CLUSTER ? undefined : clusterName);
  return createServiceInstance({
    service,
    id: metadata[KEYS.id] ?? defaultId(serviceNameOf(service), ip, port, clusterName),
    host: ip.replace(/^\[|\]$/g, ''),
    port,
    scheme,
    status,
    weight: kept !== undefined && kept >= 0 && kept <= 10_000 ? kept : instance.weight,
    metadata: Object.fromEntries(Object.entries(metadata).filter(([key]) => !OWN_KEYS.has(key))),
    tags: tagsFrom(metadata[KEYS.tags]),
    ...(zone === undefined || zone === '' ? {} : { zone }),
    backend,
  });
}

function statusOf({ metadata, healthy, enabled }: NacosInstance): InstanceStatus {
  if (!enabled) return 'OUT_OF_SERVICE';
  const told = metadata[KEYS.status];
  const known = INSTANCE_STATUSES.find((status) => status === told);
  if (known !== undefined && known !== 'UP') return known;
  return healthy ? 'UP' : 'DOWN';
}

function defaultId(service: string, host: string, port: number, cluster: string): string {
  return cluster === DEFAULT_CLUSTER
    ? `${service}:${host}:${port}`
    : instanceKey({ ip: host, port, clusterName: cluster });
}

function serviceNameOf(name: string): string {
  const at = name.indexOf('@@');
  return at < 0 ? name : name.slice(at + 2);
}

/** Types by their names and by endings of data ids. */
const TYPES: ReadonlyMap<string, NacosConfigType> = new Map([
  ['yaml', 'yaml'],
  ['yml', 'yaml'],
  ['json', 'json'],
  ['properties', 'properties'],
  ['xml', 'xml'],
  ['html', 'html'],
  ['htm', 'html'],
  ['toml', 'toml'],
]);

/**
 * The address of a document of ours: `dataId`, or `group/dataId`.
 *
 * @throws DiscoveryError `INVALID_NAME`
 */
export function toConfigAddress(id: unknown, group: string, tenant: string): ConfigAddress {
  const parts = typeof id === 'string' ? id.split('/') : [];
  const [first, second] = parts;
  if (first === undefined || first === '' || second === '' || parts.length > 2 || parts.some(isPrototypeKey)) {
    throw new DiscoveryError(
      'INVALID_NAME',
      `a document of Nacos is named dataId or group/dataId, got ${describe(id)}`,
      { field: 'id' },
    );
  }
  return second === undefined
    ? checkConfigKey({ dataId: first, group }, tenant)
    : checkConfigKey({ dataId: second, group: first }, tenant);
}

/** A document's name for an address; the default group isn't told. */
export function toDocumentId(address: Pick<ConfigAddress, 'dataId' | 'group'>, group = DEFAULT_GROUP): string {
  return address.group === group ? address.dataId : `${address.group}/${address.dataId}`;
}

/**
 * The format of a content: by the type that it was published with, else by the data id's ending, else text.
 * @param plain what a plain text is read as; clients that tell no type publish text
 */
export function formatOf(dataId: string, type: string | undefined, plain: ConfigFormat = 'text'): ConfigFormat {
  const told = TYPES.get(type?.toLowerCase() ?? '');
  return told === undefined ? (formatByExtension(dataId) ?? plain) : parsedAs(told);
}

/** The type to publish with. */
export function typeOf(dataId: string, format: ConfigFormat | undefined): NacosConfigType {
  const byName = TYPES.get(endingOf(dataId));
  if (format === undefined) return byName ?? 'text';
  if (format !== 'text') return format;
  return byName !== undefined && parsedAs(byName) === 'text' ? byName : 'text';
}

/** What we don't parse is text. */
function parsedAs(type: NacosConfigType): ConfigFormat {
  return type === 'yaml' || type === 'json' || type === 'properties' || type === 'toml' ? type : 'text';
}

/** A document of ours; its revision is that of the content as it is stored: what a compare-and-set has to name. */
export function toDocument(
  id: string,
  dataId: string,
  item: NacosConfigItem,
  text: string,
  plain?: ConfigFormat,
): ConfigDocument {
  return textDocument(id, item.md5, formatOf(dataId, item.type, plain), text);
}

function endingOf(dataId: string): string {
  const at = dataId.lastIndexOf('.');
  return at <= 0 ? '' : dataId.slice(at + 1).toLowerCase();
}
