import { authority, defined, type Registration } from '../../model/index.js';
import type { AmazonMetadata } from './client/amazon.js';
import type { OutgoingInstance } from './eureka.codec.js';
import { DEFAULT_ZONE } from './eureka.instance.js';
import type { EurekaLeaseOptions } from './eureka.options.js';

/** What a registration is completed with. */
export interface OutgoingContext {
  readonly lease: Pick<EurekaLeaseOptions, 'instance'> & { readonly heartbeatMs: number; readonly leaseMs: number };
  /** The own zone, when the app doesn't say one. */
  readonly zone: string;
  readonly amazon: AmazonMetadata | undefined;
}

/**
 * What an app's registration looks like at Eureka: as Spring's own clients would register it, with what Eureka has no
 * field for (zone, weight, tags, other schemes) in the metadata, under the keys that Spring reads.
 */
export function toOutgoingInstance(
  registration: Registration,
  lastDirtyTimestamp: number,
  { lease, zone, amazon }: OutgoingContext,
): OutgoingInstance {
  const { instance = {} } = lease;
  const secure = registration.scheme === 'https';
  const hostName = instance.hostName ?? amazon?.['local-hostname'] ?? registration.host;
  const ipAddr = instance.ipAddr ?? amazon?.['local-ipv4'] ?? registration.ip;
  const portEnabled = instance.portEnabled ?? !secure;
  const securePortEnabled = instance.securePortEnabled ?? secure;
  const port = instance.port ?? (secure ? 80 : registration.port);
  const securePort = instance.securePort ?? (secure ? registration.port : 443);
  const plain = portEnabled || !securePortEnabled;
  const base = `${plain ? 'http' : 'https'}://${authority(hostName, plain ? port : securePort)}`;
  const vipAddress = instance.vipAddress ?? registration.service.toLowerCase();
  return {
    instanceId: registration.instanceId,
    app: registration.service.toUpperCase(),
    hostName,
    ipAddr,
    status: registration.status,
    port,
    portEnabled,
    securePort,
    securePortEnabled,
    vipAddress,
    secureVipAddress: instance.secureVipAddress ?? vipAddress,
    homePageUrl: absolute(base, instance.homePageUrl ?? '/'),
    statusPageUrl: absolute(base, instance.statusPageUrl ?? '/info'),
    healthCheckUrl: absolute(base, instance.healthCheckUrl ?? registration.healthPath ?? '/health'),
    secureHealthCheckUrl: instance.secureHealthCheckUrl ?? '',
    dataCenter: instance.dataCenter ?? 'MyOwn',
    dataCenterMetadata: amazon ?? {},
    metadata: metadataOf(registration, zone, plain ? port : securePort),
    renewalIntervalSeconds: Math.max(1, Math.round(lease.heartbeatMs / 1000)),
    leaseSeconds: Math.max(1, Math.round(lease.leaseMs / 1000)),
    lastDirtyTimestamp,
    ...defined({ appGroupName: instance.appGroupName, asgName: instance.asgName }),
    ...(instance.isCoordinatingDiscoveryServer === undefined
      ? {}
      : { isCoordinatingDiscoveryServer: instance.isCoordinatingDiscoveryServer }),
  };
}

/** The app's own metadata wins over what is added to it. */
function metadataOf(registration: Registration, ownZone: string, port: number): Readonly<Record<string, string>> {
  const { scheme, weight, tags } = registration;
  const zone = registration.zone ?? ownZone;
  return {
    'management.port': String(port),
    ...(zone === DEFAULT_ZONE ? {} : { zone }),
    ...(weight === 1 ? {} : { weight: String(weight) }),
    ...(tags.length === 0 ? {} : { tags: tags.join(',') }),
    ...(scheme === 'http' || scheme === 'https' ? {} : { scheme }),
    ...registration.metadata,
  };
}

/** A path below `base`, or a URL as it is. */
function absolute(base: string, urlOrPath: string): string {
  if (/^https?:\/\//i.test(urlOrPath)) return urlOrPath;
  return `${base}/${urlOrPath.replace(/^\/+/, '')}`;
}
