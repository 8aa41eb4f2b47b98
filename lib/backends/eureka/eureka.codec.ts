import {
  createServiceInstance,
  describe,
  DiscoveryError,
  INSTANCE_STATUSES,
  isPrototypeKey,
  type InstanceStatus,
  type ServiceInstance,
} from '../../model/index.js';
import { DEFAULT_ZONE, type DataCenterName, type EurekaInstance } from './eureka.instance.js';

/** The class names that a server needs to read a data centre. */
const DATA_CENTER_CLASS = 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo';
const AMAZON_CLASS = 'com.netflix.appinfo.AmazonInfo';

type Json = Readonly<Record<string, unknown>>;

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
 * @param previous another record of the same application: equal texts become one, to keep a large registry small
 * @returns undefined when nothing tells it from other records
 */
export function decodeInstance(
  record: unknown,
  applicationName = '',
  previous?: EurekaInstance,
): EurekaInstance | undefined {
  if (!isObject(record)) return undefined;
  const hostName = asText(record['hostName']);
  const ipAddr = asText(record['ipAddr']);
  const dataCenterInfo = record['dataCenterInfo'];
  const dataCenter = isObject(dataCenterInfo) ? asDataCenter(dataCenterInfo['name']) : 'MyOwn';
  const dataCenterMetadata =
    dataCenter === 'Amazon' && isObject(dataCenterInfo) ? asTexts(dataCenterInfo['metadata']) : NO_TEXTS;
  const instanceId = asText(record['instanceId']) || (dataCenterMetadata['instance-id'] ?? '') || hostName;
  if (instanceId === '') return undefined;
  const app = asText(record['app']) || applicationName;
  const vipAddress = asText(record['vipAddress']);
  const secureVipAddress = asText(record['secureVipAddress']);
  const sharedVip = vipAddress === previous?.vipAddress ? previous.vipAddress : vipAddress;
  const { port, securePort, leaseInfo } = record;
  const metadata = asTexts(record['metadata']);
  return {
    instanceId,
    app: app === previous?.app ? previous.app : app.toUpperCase(),
    hostName: hostName === ipAddr ? ipAddr : hostName,
    ipAddr,
    status: asStatus(record['status'] ?? 'UP'),
    overriddenStatus: asStatus(record['overriddenStatus'] ?? record['overriddenstatus'] ?? 'UNKNOWN'),
    port: portNumber(port, 7001),
    portEnabled: portEnabled(port, true),
    securePort: portNumber(securePort, 7002),
    securePortEnabled: portEnabled(securePort, false),
    vipAddress: sharedVip,
    secureVipAddress: secureVipAddress === sharedVip ? sharedVip : secureVipAddress,
    homePageUrl: asText(record['homePageUrl']),
    statusPageUrl: asText(record['statusPageUrl']),
    healthCheckUrl: asText(record['healthCheckUrl']),
    secureHealthCheckUrl: asText(record['secureHealthCheckUrl']),
    dataCenter,
    dataCenterMetadata,
    metadata,
    zone: dataCenterMetadata['availability-zone'] ?? metadata['zone'] ?? DEFAULT_ZONE,
    renewalIntervalSeconds: isObject(leaseInfo) ? positive(leaseInfo['renewalIntervalInSecs'], 30) : 30,
    leaseSeconds: isObject(leaseInfo) ? positive(leaseInfo['durationInSecs'], 90) : 90,
    lastUpdatedTimestamp: asNumber(record['lastUpdatedTimestamp']),
    lastDirtyTimestamp: asNumber(record['lastDirtyTimestamp']),
  };
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

const NO_TEXTS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>);
const STATUSES: ReadonlySet<string> = new Set(INSTANCE_STATUSES);

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One object stands where old servers have a list of one. */
function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return isObject(value) ? [value] : [];
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

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

function asNumber(value: unknown): number {
  if (typeof value !== 'string') return typeof value === 'number' && Number.isFinite(value) ? value : 0;
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

function positive(value: unknown, otherwise: number): number {
  const number = asNumber(value);
  return number > 0 ? number : otherwise;
}

/**
 * Texts by name; `@class` is an artefact of the server's encoding, and nested values can't be metadata. What is nothing
 * but texts, as it mostly is, is taken as it came, without a copy.
 */
function asTexts(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return NO_TEXTS;
  let empty = true;
  for (const key of Object.keys(value)) {
    if (typeof value[key] !== 'string' || key === '@class' || isPrototypeKey(key)) return copiedTexts(value);
    empty = false;
  }
  return empty ? NO_TEXTS : (value as Readonly<Record<string, string>>);
}

function copiedTexts(value: Json): Readonly<Record<string, string>> {
  const texts = Object.create(null) as Record<string, string>;
  for (const [key, one] of Object.entries(value)) {
    if (key === '@class' || isPrototypeKey(key)) continue;
    if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') texts[key] = String(one);
  }
  return texts;
}

function notEureka(expected: string, body: unknown): DiscoveryError {
  return new DiscoveryError(
    'BACKEND_REFUSED',
    `the answer holds no ${expected} but ${describe(body)}: is this the URL of a Eureka server?`,
  );
}
