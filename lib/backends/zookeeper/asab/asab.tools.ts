import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { AxiosInstance } from 'axios';
import type { Backend, BackendDefinition } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import type { AsabAuthorization } from './asab.authorization.js';
import { asabConnector, asabLookup } from './asab.connect.js';
import { asabFetch, LazyAgents, makeDiscoverable, type AsabFetch, type DiscoverableOptions } from './asab.http.js';
import type { InternalAuth } from './asab.internal-auth.js';
import type { AsabDiscovery } from './asab.locator.js';

/** Everything of ASAB's that an application may use besides the drivers. */
export class AsabTools {
  private readonly agents: LazyAgents;

  constructor(
    /** Who is where. */
    readonly discovery: AsabDiscovery,
    /** The `Authorization` of outgoing calls. */
    readonly authorization: AsabAuthorization,
    /** The cluster's internal tokens. */
    readonly internal: InternalAuth,
  ) {
    this.agents = new LazyAgents(discovery);
  }

  /** Node agents that connect to discovered addresses; closed with the backend. */
  get httpAgent(): HttpAgent {
    return this.agents.get().httpAgent;
  }

  /** As {@link httpAgent}, with TLS. */
  get httpsAgent(): HttpsAgent {
    return this.agents.get().httpsAgent;
  }

  /** See {@link discoverable}. */
  discoverable(instance: AxiosInstance, options: DiscoverableOptions = {}): AxiosInstance {
    return makeDiscoverable(
      instance,
      { locator: this.discovery, authorization: this.authorization },
      this.agents.get(),
      options,
    );
  }

  /** `fetch` for GETs of discovered addresses: public keys, health. */
  get fetch(): AsabFetch {
    return asabFetch(this.agents.get());
  }

  /** A `lookup` for sockets; the port stays the URL's. */
  get lookup(): ReturnType<typeof asabLookup> {
    return asabLookup(this.discovery);
  }

  /** A `connect` function for undici's dispatchers. */
  get connect(): ReturnType<typeof asabConnector> {
    return asabConnector(this.discovery);
  }

  /** @internal Called by the backend. */
  async close(): Promise<void> {
    this.agents.close();
    await Promise.all([this.discovery.close(), this.internal.close()]);
  }
}

/** Whoever may have ASAB's tools: a backend of `zookeeper()`. */
interface HasAsabTools {
  readonly asab?: AsabTools;
}

/** Tools of the newest backend that was made of each definition: an application holds the definition in its hands. */
const toolsOfDefinitions = new WeakMap<object, AsabTools>();

/** Lets the tools be found by what `zookeeper()` returned. */
export function rememberTools(definition: BackendDefinition, { asab }: HasAsabTools): void {
  if (asab !== undefined) toolsOfDefinitions.set(definition, asab);
}

/**
 * The ASAB tools of a backend.
 *
 * @param backend a backend, or what `zookeeper()` returned: then those of the app that was made with it, the newest of
 *   several
 * @throws DiscoveryError `UNSUPPORTED` unless it is a ZooKeeper backend with the ASAB layout, of an app that there is
 */
export function asabTools(backend: Backend | BackendDefinition | undefined): AsabTools {
  const given: unknown = backend;
  const isObject = typeof given === 'object' && given !== null;
  const tools = isObject ? ((given as HasAsabTools).asab ?? toolsOfDefinitions.get(given)) : undefined;
  if (tools instanceof AsabTools) return tools;
  throw new DiscoveryError(
    'UNSUPPORTED',
    'discovered addresses (.asab) need a ZooKeeper backend with the ASAB layout, zookeeper({ servers, layout: asab() }), ' +
      'in an app that has been created',
    { field: 'layout' },
  );
}

/**
 * Teaches an axios instance discovered addresses (`http://my-app.service_id.asab/path`): host and port come from the
 * registry, the next instance is tried when one doesn't take the connection, and the authorization of the incoming
 * request goes along unless the call has its own. Other hosts pass through untouched.
 *
 * Errors are `NotDiscoveredError` when an address leads nowhere, else axios's.
 *
 * @param source the backend, or its tools
 * @throws DiscoveryError `UNSUPPORTED` for a backend without the ASAB layout
 */
export function discoverable(
  instance: AxiosInstance,
  source: AsabTools | Backend | BackendDefinition,
  options: DiscoverableOptions = {},
): AxiosInstance {
  const tools = source instanceof AsabTools ? source : asabTools(source);
  return tools.discoverable(instance, options);
}
