import { TroubleLog } from '../../../backend/index.js';
import { NacosAuth } from './auth.js';
import { standaloneEnvironment, type Environment } from './environment.js';
import { SERVERS } from './errors.js';
import { ConfigArchiveApi } from './http/config-archive-api.js';
import { HttpNamingApi } from './http/naming-api.js';
import { HttpTransport } from './http/transport.js';
import { persistentOverHttp } from './http/api.js';
import type { NacosInstance } from './naming/model.js';
import { resolveClientOptions, type NacosClientOptions, type NacosClientSettings } from './options.js';
import { RpcClient } from './grpc/rpc-client.js';
import { NacosServers } from './servers.js';

/** What the services of one client stand on, and share. */
export interface ClientParts {
  readonly env: Environment;
  readonly settings: NacosClientSettings;
  readonly rpc: RpcClient;
  readonly settleMs: number;
  /** What only the HTTP API tells. */
  readonly archive: ConfigArchiveApi;
  readonly console: HttpNamingApi;
  /** Registers what outlives the connection at servers that don't know the message for it. */
  readonly persistentFallback: (
    operation: 'register' | 'deregister',
    service: string,
    group: string,
    instance: NacosInstance,
    signal?: AbortSignal,
  ) => Promise<void>;
  /** Ends the connection, and whatever was registered over it. */
  close(): Promise<void>;
}

const KEPT = 'what is known is served on, and it is tried again';

/** How long a list that became shorter with a reconnection is doubted, in milliseconds. */
const SETTLE_MS = 5000;

/**
 * The parts of a client that nobody lends anything. Starts nothing.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function openParts(options: NacosClientOptions): ClientParts {
  const settings = resolveClientOptions('NacosClient', options);
  const env = standaloneEnvironment(options.logger, options.logLevel);
  const parts = partsIn(env, settings);
  // An app has its event log for that.
  const troubles = new TroubleLog(env.logger, env.clock, env.backend);
  parts.rpc.state.subscribe(({ phase, error }) => {
    if (phase === 'ready') troubles.works(SERVERS);
    else if (error !== undefined) troubles.failed(SERVERS, error, KEPT);
  });
  return parts;
}

/** The parts of a client in an environment that somebody lends. Starts nothing. */
export function partsIn(env: Environment, settings: NacosClientSettings): ClientParts {
  const http = new HttpTransport({
    clock: env.clock,
    tls: settings.tls,
    debug: (line) => env.logger.debug(`${env.backend}: ${line}`),
  });
  const servers = new NacosServers(settings, env, http);
  const auth = new NacosAuth(settings, env, http, servers.requests);
  const api = { env, settings, http, auth, servers: servers.requests };
  const rpc = new RpcClient(settings, env, servers, auth);
  return {
    env,
    settings,
    rpc,
    settleMs: SETTLE_MS,
    archive: new ConfigArchiveApi(api),
    console: new HttpNamingApi(api),
    persistentFallback: (operation, service, group, instance, signal) =>
      persistentOverHttp(api, operation, {
        service,
        group,
        instance,
        ...(signal === undefined ? {} : { signal }),
      }),
    close: async () => {
      auth.close();
      await rpc.close();
      await http.close();
    },
  };
}
