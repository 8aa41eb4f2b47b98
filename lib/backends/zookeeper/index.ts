import type {
  Backend,
  BackendContext,
  BackendDefinition,
  ConfigDriver,
  DiscoveryDriver,
  RegistryDriver,
} from '../../backend/index.js';
import { rememberTools, type AsabTools } from './asab/asab.tools.js';
import { parseServers } from './client/servers.js';
import type { ZooKeeperClient } from './client/zookeeper-client.js';
import { ZooKeeperBackend as OwnBackend } from './zookeeper.backend.js';
import { resolveZooKeeperOptions, type ZooKeeperOptions } from './zookeeper.options.js';

export { DiscoveryError } from '../../model/index.js';
export type { DiscoveryErrorDetails, Registration, ServiceInstance } from '../../model/index.js';
export type {
  Backend,
  BackendContext,
  BackendDefinition,
  CallAuthorizer,
  Clock,
  ConfigDriver,
  DiscoveryDriver,
  Logger,
  Pem,
  RegistryDriver,
  TlsOptions,
  Unsubscribe,
  View,
} from '../../backend/index.js';
export { NotDiscoveredError } from './asab/asab.address.js';
export type { AsabAuth, AsabAuthorization } from './asab/asab.authorization.js';
export type { AsabAddress } from './asab/asab.codec.js';
export {
  asabAgents,
  asabConnector,
  asabLookup,
  type AsabAgents,
  type LookupFunction,
  type UndiciConnectOptions,
} from './asab/asab.connect.js';
export type { AsabFetch, DiscoverableOptions } from './asab/asab.http.js';
export { INTERNAL_KEY_PATH, type AsabClaims, type InternalAuth } from './asab/asab.internal-auth.js';
export type { AsabDiscovery, AsabIds } from './asab/asab.locator.js';
export { asab, type AsabLayout, type AsabLayoutOptions } from './asab/asab.options.js';
export { asabTools, discoverable, type AsabTools } from './asab/asab.tools.js';
export type { AsabLocator, IncomingRequest } from './asab/asab.types.js';
export type { NodeEvent } from './client/connection.js';
export { ZooKeeperError } from './client/errors.js';
export type { NodeStat } from './client/node-stat.js';
export type { ZooKeeperState } from './client/session.js';
export {
  ZooKeeperClient,
  type AccessRule,
  type CreateMode,
  type NodeData,
  type ReadOptions,
  type ZooKeeperClientOptions,
} from './client/zookeeper-client.js';
export {
  curator,
  type CuratorLayout,
  type CuratorLayoutOptions,
  type CuratorPayload,
} from './curator/curator.options.js';
export type { ZooKeeperConfigOptions, ZooKeeperOptions } from './zookeeper.options.js';

/** What a ZooKeeper backend has besides. */
export interface ZooKeeperBackend extends Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  /** ASAB's own ways to find and to call others; with the ASAB layout only. */
  readonly asab?: AsabTools;
  /** The session, for everything else that ZooKeeper can do. */
  readonly client: ZooKeeperClient;
}

/** A definition that makes ZooKeeper backends. */
export interface ZooKeeperDefinition extends BackendDefinition {
  create(context: BackendContext): ZooKeeperBackend;
}

/**
 * The ZooKeeper backend: TeskaLabs ASAB's layout or Apache Curator's (Spring Cloud's), both ways, and configuration in
 * Spring's layout. Needs the package `node-zookeeper-client`, and `jose` for internal authorization.
 *
 * ```ts
 * DiscoveryModule.forRoot({
 *   service: { name: 'my-app' },
 *   registry: zookeeper({ servers: 'zookeeper-1:2181,zookeeper-2:2181', layout: asab() }),
 * });
 * ```
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function zookeeper(options: ZooKeeperOptions = {}): ZooKeeperDefinition {
  const settings = resolveZooKeeperOptions(options);
  const definition: ZooKeeperDefinition = Object.freeze({
    kind: 'zookeeper',
    name: settings.name,
    hosts: parseServers(settings.servers, 'servers').servers.map(({ host }) => host),
    create: (context: BackendContext) => {
      const backend = new OwnBackend(settings, context);
      rememberTools(definition, backend);
      return backend;
    },
  });
  return definition;
}
