import type { InstanceStatus } from '../../model/index.js';

/** What a Eureka server says of the place that an instance runs in. */
export type DataCenterName = 'MyOwn' | 'Netflix' | 'Amazon';

/** The zone of an instance that names none. */
export const DEFAULT_ZONE = 'default';

/**
 * One record of a Eureka registry, complete, in plain types: ports are numbers, timestamps milliseconds since the epoch,
 * texts that the server left out are empty. Nothing of it is checked beyond its type: a record comes from a stranger.
 */
export interface EurekaInstance {
  readonly instanceId: string;
  /** The application's name, in capitals. */
  readonly app: string;
  /** What other clients dial, unless they prefer the address. */
  readonly hostName: string;
  readonly ipAddr: string;
  /** Only instances that are `UP` are called. */
  readonly status: InstanceStatus;
  /** What an operator set through the server; `UNKNOWN` when nobody did. */
  readonly overriddenStatus: InstanceStatus;
  readonly port: number;
  readonly portEnabled: boolean;
  readonly securePort: number;
  readonly securePortEnabled: boolean;
  /** Virtual names, comma separated. */
  readonly vipAddress: string;
  readonly secureVipAddress: string;
  readonly homePageUrl: string;
  readonly statusPageUrl: string;
  readonly healthCheckUrl: string;
  readonly secureHealthCheckUrl: string;
  readonly dataCenter: DataCenterName;
  /** Of an Amazon instance: `instance-id`, `availability-zone` … */
  readonly dataCenterMetadata: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  /** The availability zone: Amazon's word, else the metadata's `zone`, else `default`. */
  readonly zone: string;
  readonly renewalIntervalSeconds: number;
  readonly leaseSeconds: number;
  readonly lastUpdatedTimestamp: number;
  readonly lastDirtyTimestamp: number;
}
