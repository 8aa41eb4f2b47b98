import type { InstanceStatus } from '../../model/index.js';
import { asNumber, asTexts } from './eureka.json.js';
import { DEFAULT_ZONE, type DataCenterName, type EurekaInstance } from './eureka.instance.js';

/** A URL of an instance around its host name: those of an application's instances mostly differ in nothing else. */
export interface UrlPattern {
  readonly before: string;
  /** Undefined when the host name isn't in the URL: it is `before` then. */
  readonly after: string | undefined;
}

/** What the records of an application mostly have in common. */
export interface SharedFields {
  readonly app: string;
  readonly port: number;
  readonly portEnabled: boolean;
  readonly securePort: number;
  readonly securePortEnabled: boolean;
  readonly vipAddress: string;
  readonly secureVipAddress: string;
  readonly homePageUrl: UrlPattern;
  readonly statusPageUrl: UrlPattern;
  readonly healthCheckUrl: UrlPattern;
  readonly secureHealthCheckUrl: UrlPattern;
  readonly dataCenter: DataCenterName;
  readonly renewalIntervalSeconds: number;
  readonly leaseSeconds: number;
}

/**
 * A record as the cache keeps it. The server sends every client the whole registry, of which an app uses a few services:
 * the instance is made when somebody asks for it. See {@link instanceOf}.
 */
export interface InstanceRecord {
  readonly instanceId: string;
  readonly hostName: string;
  readonly ipAddr: string;
  readonly status: InstanceStatus;
  readonly overriddenStatus: InstanceStatus;
  readonly dataCenterMetadata: Readonly<Record<string, string>>;
  /** As the server sent it, and so are the timestamps: to read them of every record costs more than to keep them. */
  readonly metadata: unknown;
  readonly lastUpdatedTimestamp: string;
  readonly lastDirtyTimestamp: string;
  readonly shared: SharedFields;
  /** Of {@link instanceOf}. */
  instance: EurekaInstance | undefined;
}

/** The instance of a record: the same one each time. */
export function instanceOf(record: InstanceRecord): EurekaInstance {
  return (record.instance ??= make(record));
}

/** True when a server can't have changed anything between the two but when the lease was last renewed. */
export function isSameVersion(a: InstanceRecord, b: InstanceRecord): boolean {
  return (
    a.status === b.status &&
    a.lastDirtyTimestamp === b.lastDirtyTimestamp &&
    a.lastUpdatedTimestamp === b.lastUpdatedTimestamp &&
    a.overriddenStatus === b.overriddenStatus
  );
}

function make(record: InstanceRecord): EurekaInstance {
  const { hostName, dataCenterMetadata, shared } = record;
  const metadata = asTexts(record.metadata);
  return {
    instanceId: record.instanceId,
    app: shared.app,
    hostName,
    ipAddr: record.ipAddr,
    status: record.status,
    overriddenStatus: record.overriddenStatus,
    port: shared.port,
    portEnabled: shared.portEnabled,
    securePort: shared.securePort,
    securePortEnabled: shared.securePortEnabled,
    vipAddress: shared.vipAddress,
    secureVipAddress: shared.secureVipAddress,
    homePageUrl: urlOf(shared.homePageUrl, hostName),
    statusPageUrl: urlOf(shared.statusPageUrl, hostName),
    healthCheckUrl: urlOf(shared.healthCheckUrl, hostName),
    secureHealthCheckUrl: urlOf(shared.secureHealthCheckUrl, hostName),
    dataCenter: shared.dataCenter,
    dataCenterMetadata,
    metadata,
    zone: dataCenterMetadata['availability-zone'] ?? metadata['zone'] ?? DEFAULT_ZONE,
    renewalIntervalSeconds: shared.renewalIntervalSeconds,
    leaseSeconds: shared.leaseSeconds,
    lastUpdatedTimestamp: asNumber(record.lastUpdatedTimestamp),
    lastDirtyTimestamp: asNumber(record.lastDirtyTimestamp),
  };
}

export function patternOf(url: string, hostName: string): UrlPattern {
  const at = hostName === '' ? -1 : url.indexOf(hostName);
  if (at < 0) return { before: url, after: undefined };
  return { before: url.slice(0, at), after: url.slice(at + hostName.length) };
}

/** Whether a URL is of the pattern. */
export function isOf({ before, after }: UrlPattern, url: unknown, hostName: string): boolean {
  if (typeof url !== 'string') return after === undefined && before === '';
  if (after === undefined) return url === before;
  const host = before.length;
  const rest = host + hostName.length;
  return (
    url.length === rest + after.length &&
    url.startsWith(before) &&
    url.startsWith(hostName, host) &&
    url.startsWith(after, rest)
  );
}

function urlOf({ before, after }: UrlPattern, hostName: string): string {
  return after === undefined ? before : before + hostName + after;
}
