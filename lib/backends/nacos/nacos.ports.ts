import type { LeaseOperations } from '../../backend/index.js';
import type { DiscoveryError } from '../../model/index.js';
import type { HttpNamingApi } from './client/http/naming-api.js';
import type { ConfigObservation, ConfigObserver } from './client/config/items.js';
import type { ConfigAddress, NacosConfigItem, NacosPublishParam } from './client/config/model.js';
import type { NacosConfigChange } from './client/http/config-archive-api.js';
import type { NacosInstance } from './client/naming/model.js';
import type { ServiceObserver, ServiceSubscription } from './client/naming/subscriptions.js';

/** What the drivers need of a protocol: the same for gRPC and HTTP. */
export interface NacosProtocol {
  /** How the servers do; called at once with what is known. */
  onState(listener: (state: { readonly ready: boolean; readonly error?: DiscoveryError }) => void): void;
  open(): Promise<void>;
  close(): Promise<void>;

  /** Makes the operations of one lease. */
  lease(service: string, group: string): ProtocolLease;
  observe(service: string, group: string, observer: ServiceObserver): ServiceSubscription;
  listServices(group: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** What the console does, which has no message in gRPC. */
  readonly console: Pick<HttpNamingApi, 'get' | 'list' | 'modify'>;

  query(address: ConfigAddress, signal?: AbortSignal): Promise<NacosConfigItem | undefined>;
  publish(param: NacosPublishParam, signal?: AbortSignal): Promise<void>;
  remove(address: ConfigAddress, signal?: AbortSignal): Promise<void>;
  observeConfig(address: ConfigAddress, observer: ConfigObserver): ConfigObservation;
  /** Every item of the namespace. */
  listConfig(signal?: AbortSignal): Promise<readonly ConfigAddress[]>;
  /** The last changes of an item, the newest first. */
  configChanges(address: ConfigAddress, signal?: AbortSignal): Promise<readonly NacosConfigChange[]>;
  readable(address: ConfigAddress, item: Pick<NacosConfigItem, 'content' | 'encryptedDataKey'>): Promise<string>;
}

/** One registration at the server. */
export interface ProtocolLease {
  register(instance: NacosInstance, signal: AbortSignal): Promise<void>;
  /** Servers don't tell whether there was an instance. */
  deregister(instance: NacosInstance, signal: AbortSignal): Promise<void>;
  /** Absent when the connection keeps it alive. */
  readonly beat?: {
    everyMs(): number;
    renew(instance: NacosInstance, signal: AbortSignal): ReturnType<NonNullable<LeaseOperations['renew']>>;
  };
  /** False as long as nothing that was sent can have come to a server. */
  wasConnected(): boolean;
  /** The lease is over: the instance isn't registered again, whatever happens. Sends nothing. */
  drop(instance: NacosInstance): void;
  /** Calls back when the server has lost what was registered. */
  onForgotten(listener: () => void): () => void;
}
