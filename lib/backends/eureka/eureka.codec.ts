import {
  createServiceInstance,
  describe,
  DiscoveryError,
  INSTANCE_STATUSES,
  type InstanceStatus,
  type ServiceInstance,
} from '../../model/index.js';
import { DEFAULT_ZONE, type DataCenterName, type EurekaInstance } from './eureka.instance.js';
import { asList, asNumber, asText, asTexts, isObject, NO_TEXTS, type Json } from './eureka.json.js';
import { instanceOf, isOf, patternOf, type InstanceRecord, type SharedFields } from './eureka.record.js';

/** The class names that a server needs to read a data centre. */
const DATA_CENTER_CLASS = 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo';
const AMAZON_CLASS = 'com.netflix.appinfo.AmazonInfo';

/** What a server said in one answer, application by application; records are still as they came. */
export interface DecodedApplications {
  /** `apps__hashcode`, when there was one. */
  readonly hashcode: string | undefined;
  readonly applications: readonly { readonly name: string; readonly records: readonly unknown[] }[];
}

/** What a delta says of a record. */
export type ActionType = 'ADDED' | 'MODIFIED' | 'DELETED';

/**
 * Reads `{"applications": …}` in every shape that servers give it: lists that are one object, or missing.
 *
 * @throws DiscoveryError `BACKEND_REFUSED` when it is something else
 */
export function decodeApplications(body: unknown): DecodedApplications {
  const root = isObject(body) ? body['applications'] : undefined;
  if (!isObject(root)) throw notEureka('an `applications` object', body);
  const hashcode = root['apps__hashcode'] ?? root['apps_hashcode'];
  return {
    hashcode: typeof hashcode === 'string' ? hashcode : undefined,
    applications: asList(root['application'])
      .filter(isObject)
      .map((application) => ({ name: asText(application['name']), records: asList(application['instance']) })),
  };
}

/**
 * Reads `{"application": …}`.
 *
 * @throws DiscoveryError `BACKEND_REFUSED` when it is something else
 */
export function decodeApplication(body: unknown): readonly unknown[] {
  const root = isObject(body) ? body['application'] : undefined;
  if (!isObject(root)) throw notEureka('an `application` object', body);
  return asList(root['instance']);
}

/**
 * Reads `{"instance": …}`.
 *
 * @throws DiscoveryError `BACKEND_REFUSED` when it is something else
 */
export function decodeSingleInstance(body: unknown): EurekaInstance {
  const instance = decodeInstance(isObject(body) ? body['instance'] : undefined);
  if (instance === undefined) throw notEureka('an `instance` object', body);
  return instance;
}

/**
 * Reads one record as far as it can be understood. What is missing or of the wrong type becomes the server's default.
 *
 * @returns undefined when nothing tells it from other records
 */
export function decodeInstance(record: unknown, applicationName = ''): EurekaInstance | undefined {
  const decoded = decodeRecord(record, applicationName);
  return decoded && instanceOf(decoded);
}

/**
 * As {@link decodeInstance}, for the cache.
 *
 * @param like another record of the same application: what the two have in common is kept once
 */
export function decodeRecord(
  record: unknown,
  applicationName: string,
  like?: InstanceRecord,
): InstanceRecord | undefined {
  if (!isObject(record)) return undefined;
  const hostName = asText(record['hostName']);
  const ipAddr = asText(record['ipAddr']);
  const dataCenterInfo = record['dataCenterInfo'];
  const dataCenter = isObject(dataCenterInfo) ? asDataCenter(dataCenterInfo['name']) : 'MyOwn';
  const dataCenterMetadata =
    dataCenter === 'Amazon' && isObject(dataCenterInfo) ? asTexts(dataCenterInfo['metadata']) : NO_TEXTS;
  const instanceId = asText(record['instanceId']) || (dataCenterMetadata['instance-id'] ?? '') || hostName;
  if (instanceId === '') return undefined;
  return {
    instanceId,
    hostName: hostName === ipAddr ? ipAddr : hostName,
    ipAddr,
    status: asStatus(record['status'] ?? 'UP'),
    overriddenStatus: asStatus(record['overriddenStatus'] ?? record['overriddenstatus'] ?? 'UNKNOWN'),
    dataCenterMetadata,
    metadata: record['metadata'],
    lastUpdatedTimestamp: asText(record['lastUpdatedTimestamp']),
    lastDirtyTimestamp: asText(record['lastDirtyTimestamp']),
    shared: decodeShared(record, hostName, dataCenter, applicationName, like?.shared),
    instance: undefined,
  };
}

function decodeShared(
  record: Json,
  hostName: string,
  dataCenter: DataCenterName,
  applicationName: string,
  like: SharedFields | undefined,
): SharedFields {
  if (like !== undefined && isLike(record, hostName, dataCenter, applicationName, like)) return like;
  const { port, securePort, leaseInfo } = record;
  return {
    app: (asText(record['app']) || applicationName).toUpperCase(),
    port: portNumber(port, 7001),
    portEnabled: portEnabled(port, true),
    securePort: portNumber(securePort, 7002),
    securePortEnabled: portEnabled(securePort, false),
    vipAddress: asText(record['vipAddress']),
    secureVipAddress: asText(record['secureVipAddress']),
    homePageUrl: patternOf(asText(record['homePageUrl']), hostName),
    statusPageUrl: patternOf(asText(record['statusPageUrl']), hostName),
    healthCheckUrl: patternOf(asText(record['healthCheckUrl']), hostName),
    secureHealthCheckUrl: patternOf(asText(record['secureHealthCheckUrl']), hostName),
    dataCenter,
    renewalIntervalSeconds: isObject(leaseInfo) ? positive(leaseInfo['renewalIntervalInSecs'], 30) : 30,
    leaseSeconds: isObject(leaseInfo) ? positive(leaseInfo['durationInSecs'], 90) : 90,
  };
}

function isLike(
  record: Json,
  hostName: string,
  dataCenter: DataCenterName,
  applicationName: string,
  like: SharedFields,
): boolean {
  const { port, securePort, leaseInfo } = record;
  return (
    isObject(leaseInfo) &&
    leaseInfo['renewalIntervalInSecs'] === like.renewalIntervalSeconds &&
    leaseInfo['durationInSecs'] === like.leaseSeconds &&
    portNumber(port, 7001) === like.port &&
    portEnabled(port, true) === like.portEnabled &&
    portNumber(securePort, 7002) === like.securePort &&
    portEnabled(securePort, false) === like.securePortEnabled &&
    dataCenter === like.dataCenter &&
    (record['app'] ?? applicationName) === like.app &&
    (record['vipAddress'] ?? '') === like.vipAddress &&
    (record['secureVipAddress'] ?? '') === like.secureVipAddress &&
    isOf(like.homePageUrl, record['homePageUrl'], hostName) &&
    isOf(like.statusPageUrl, record['statusPageUrl'], hostName) &&
    isOf(like.healthCheckUrl, record['healthCheckUrl'], hostName) &&
    isOf(like.secureHealthCheckUrl, record['secureHealthCheckUrl'], hostName)
  );
}

/** What a delta's record says happened; anything unknown counts as a change. */
export function actionOf(record: unknown): ActionType {
  const action = isObject(record) ? record['actionType'] : undefined;
  return action === 'DELETED' || action === 'ADDED' ? action : 'MODIFIED';
}

/** The status that a record shows to the server's count, also of a record that can't be read otherwise. */
export function statusOf(record: unknown): InstanceStatus {
  return asStatus(isObject(record) ? (record['status'] ?? 'UP') : undefined);
}

/** How an {@link EurekaInstance} becomes one that can be called. */
export interface AddressPreference {
  /** Call the address instead of the host name. */
  readonly preferIp: boolean;
  /** Call the secure port when both are enabled. */
  readonly preferHttps: boolean;
}

/**
 * The instance as the rest of the library knows it.
 *
 * @param service the name as the caller spells it
 * @throws DiscoveryError `INVALID_INSTANCE`, naming the field: a record that nobody could call
 */
export function toServiceInstance(
  instance: EurekaInstance,
  service: string,
  backend: string,
  preference: AddressPreference,
): ServiceInstance {
  const { scheme, port } = endpointOf(instance, preference);
  const custom = scheme === 'http' ? instance.metadata['scheme'] : undefined;
  const weight = Number(instance.metadata['weight'] ?? '');
  return createServiceInstance({
    service,
    id: instance.instanceId,
    host: unbracketed(hostOf(instance, preference)),
    port,
    scheme: custom !== undefined && /^[a-z][a-z0-9+.-]{0,31}$/.test(custom) ? custom : scheme,
    status: instance.status,
    metadata: instance.metadata,
    tags: instance.metadata['tags']?.split(',').map((tag) => tag.trim()) ?? [],
    weight: instance.metadata['weight'] !== undefined && weight >= 0 && weight <= 1e9 ? weight : 1,
    ...(instance.zone === DEFAULT_ZONE ? {} : { zone: instance.zone }),
    backend,
  });
}

/** The scheme and the port to call an instance at. @throws DiscoveryError `INVALID_INSTANCE` when both are disabled */
export function endpointOf(
  instance: EurekaInstance,
  preference: AddressPreference,
): { readonly scheme: 'http' | 'https'; readonly port: number } {
  const { portEnabled, securePortEnabled } = instance;
  if (securePortEnabled && (preference.preferHttps || !portEnabled)) {
    return { scheme: 'https', port: instance.securePort };
  }
  if (portEnabled) return { scheme: 'http', port: instance.port };
  throw new DiscoveryError('INVALID_INSTANCE', `both ports of ${describe(instance.instanceId)} are disabled`, {
    field: 'port',
  });
}

/** The base URL of an instance, without a slash at its end; the scheme's own port is left out. */
export function baseUrlOf(instance: EurekaInstance, preference: AddressPreference): string {
  const { scheme, port } = endpointOf(instance, preference);
  const host = unbracketed(hostOf(instance, preference));
  const bracketed = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${bracketed}${port === (scheme === 'http' ? 80 : 443) ? '' : `:${port}`}`;
}

function hostOf(instance: EurekaInstance, { preferIp }: AddressPreference): string {
  const [first, second] = preferIp ? [instance.ipAddr, instance.hostName] : [instance.hostName, instance.ipAddr];
  return first === '' ? second : first;
}

function unbracketed(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

/** What a registration sends. */
export interface OutgoingInstance extends Omit<EurekaInstance, 'lastUpdatedTimestamp' | 'overriddenStatus' | 'zone'> {
  /** An operator's word that the server lost. @default 'UNKNOWN': the server's own is in force */
  readonly overriddenStatus?: InstanceStatus;
  readonly appGroupName?: string;
  readonly asgName?: string;
  readonly isCoordinatingDiscoveryServer?: boolean;
}

/** The body of a registration, as Spring's own clients send it. */
export function encodeInstance(instance: OutgoingInstance): Json {
  const amazon = instance.dataCenter === 'Amazon';
  const optional = (name: string, value: string | undefined): Json =>
    value === undefined || value === '' ? {} : { [name]: value };
  return {
    instance: {
      instanceId: instance.instanceId,
      hostName: instance.hostName,
      app: instance.app.toUpperCase(),
      ipAddr: instance.ipAddr,
      status: instance.status,
      // The spelling that every version of the server reads.
      overriddenStatus: instance.overriddenStatus ?? 'UNKNOWN',
      port: { $: instance.port, '@enabled': String(instance.portEnabled) },
      securePort: { $: instance.securePort, '@enabled': String(instance.securePortEnabled) },
      countryId: 1,
      dataCenterInfo: {
        '@class': amazon ? AMAZON_CLASS : DATA_CENTER_CLASS,
        name: instance.dataCenter,
        ...(amazon ? { metadata: { ...instance.dataCenterMetadata } } : {}),
      },
      leaseInfo: {
        renewalIntervalInSecs: instance.renewalIntervalSeconds,
        durationInSecs: instance.leaseSeconds,
      },
      metadata: { ...instance.metadata },
      homePageUrl: instance.homePageUrl,
      statusPageUrl: instance.statusPageUrl,
      healthCheckUrl: instance.healthCheckUrl,
      ...optional('secureHealthCheckUrl', instance.secureHealthCheckUrl),
      vipAddress: instance.vipAddress,
      secureVipAddress: instance.secureVipAddress,
      ...optional('appGroupName', instance.appGroupName),
      ...optional('asgName', instance.asgName),
      isCoordinatingDiscoveryServer: String(instance.isCoordinatingDiscoveryServer ?? false),
      lastUpdatedTimestamp: String(instance.lastDirtyTimestamp),
      lastDirtyTimestamp: String(instance.lastDirtyTimestamp),
    },
  };
}

/** The server's checksum: every status with its count, sorted by name: `DOWN_1_UP_3_`. */
export function hashOf(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([status, count]) => `${status}_${count}_`)
    .join('');
}

const STATUSES: ReadonlySet<string> = new Set(INSTANCE_STATUSES);

function asStatus(value: unknown): InstanceStatus {
  // By far the most frequent first.
  if (value === 'UP' || value === 'UNKNOWN') return value;
  if (typeof value !== 'string') return 'UNKNOWN';
  if (STATUSES.has(value)) return value as InstanceStatus;
  const upper = value.toUpperCase();
  return STATUSES.has(upper) ? (upper as InstanceStatus) : 'UNKNOWN';
}

function asDataCenter(value: unknown): DataCenterName {
  return value === 'Amazon' || value === 'Netflix' ? value : 'MyOwn';
}

/** Of `{"$": 8080, "@enabled": "true"}`, and of what hand-written servers make of it. */
function portNumber(value: unknown, missing: number): number {
  if (isObject(value)) return asNumber(value['$']);
  return asNumber(value) || missing;
}

function portEnabled(value: unknown, missing: boolean): boolean {
  if (!isObject(value)) return missing || asNumber(value) > 0;
  const flag = value['@enabled'];
  return flag === undefined ? missing : flag === 'true' || flag === true;
}

function positive(value: unknown, otherwise: number): number {
  const number = asNumber(value);
  return number > 0 ? number : otherwise;
}

function notEureka(expected: string, body: unknown): DiscoveryError {
  return new DiscoveryError(
    'BACKEND_REFUSED',
    `the answer holds no ${expected} but ${describe(body)}: is this the URL of a Eureka server?`,
  );
}
