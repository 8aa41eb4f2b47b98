import { AsyncLocalStorage } from 'node:async_hooks';
import { systemClock, type Logger } from '../../../backend/index.js';
import { DiscoveryError, messageOf } from '../../../model/index.js';
import { NatsServiceClient } from '../client/service-client.js';
import { ServiceQueries } from '../client/service-queries.js';
import type { NatsHeaderMap } from '../connection/headers.js';
import type { NatsSession } from '../connection/session.js';
import type { ServiceRequest } from '../service/request.js';
import type { ServiceHandler } from '../service/service-options.js';
import { addService, type NatsServiceHandle, type ServiceGroup } from '../service/service.js';
import type { FoundService } from './endpoint-explorer.js';
import { DEFAULT_PROPAGATED, type NatsServicesOptions } from './services-options.js';

/** What the host needs of its app. */
export interface ServicesHostParts {
  readonly options: NatsServicesOptions;
  readonly session: NatsSession;
  readonly logger: Logger;
  /** That of the backend whose connection is shared. */
  readonly apiPrefix?: string;
  /** The header that carries on the lane of the request that is being handled. @default none */
  readonly lane?: (() => readonly [name: string, lane: string] | undefined) | undefined;
  /** Handles a request as one whose headers other clients carry on. @default as it is */
  readonly within?: <T>(headers: Record<string, string>, handle: () => T) => T;
  /** Opens a connection of its own; nothing for one that is shared. */
  readonly open: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** The NATS services of an app, and the clients that it calls others with. Injectable. */
export class NatsServicesHost {
  /** Questions about the services of the NATS system. */
  readonly queries: ServiceQueries;
  private readonly current = new AsyncLocalStorage<NatsHeaderMap>();
  private readonly clients = new Map<string, NatsServiceClient>();
  private readonly running = new Map<string, NatsServiceHandle>();
  private found: readonly FoundService[] = [];
  private starting: Promise<void> = Promise.resolve();
  private started = false;
  private leaveSession = (): void => {};
  private stopping: Promise<void> | undefined;

  /** @internal */
  constructor(private readonly parts: ServicesHostParts) {
    const { session, options } = parts;
    const apiPrefix = options.client?.apiPrefix ?? options.service?.apiPrefix;
    this.queries = new ServiceQueries(() => session.connection, {
      ...this.prefixes,
      ...(apiPrefix === undefined ? {} : { apiPrefix }),
    });
  }

  /** What the connection's owner says of subjects. */
  private get prefixes(): { readonly inboxPrefix: string; readonly apiPrefix?: string } {
    const { session, apiPrefix } = this.parts;
    return { inboxPrefix: session.inboxPrefix, ...(apiPrefix === undefined ? {} : { apiPrefix }) };
  }

  /** The services that run at present. */
  get services(): readonly NatsServiceHandle[] {
    return [...this.running.values()].filter((service) => !service.isStopped);
  }

  /** The service of that name that this app offers, while it runs. */
  service(name: string): NatsServiceHandle | undefined {
    return this.services.find((service) => service.name === name);
  }

  /** A client that calls the endpoints of a service. @throws DiscoveryError `INVALID_NAME` */
  clientOf(service: string): NatsServiceClient {
    let client = this.clients.get(service);
    if (client === undefined) {
      const { session, options } = this.parts;
      client = new NatsServiceClient(() => session.connection, service, {
        ...this.prefixes,
        ...(options.service?.apiPrefix === undefined ? {} : { apiPrefix: options.service.apiPrefix }),
        ...options.client,
        ambientHeaders: () => this.ambient(),
      });
      this.clients.set(service, client);
    }
    return client;
  }

  /** @internal opens the connection; with `firstConnect: 'fail'` it rejects when there is none */
  open(): Promise<void> {
    return this.parts.open();
  }

  /** @internal what `start` is to start */
  offer(services: readonly FoundService[]): void {
    this.found = services;
  }

  /**
   * Starts the app's services: at once when there is a connection, else as soon as there is one. Called when the app is
   * ready, unless `autoStart` is false.
   */
  async start(): Promise<void> {
    if (this.started || this.stopping !== undefined) return;
    this.started = true;
    const { session } = this.parts;
    // A connection that was given up and made anew has none of the services any more.
    this.leaveSession = session.state.subscribe(({ phase }) => {
      if (phase === 'connected') void this.startMissing();
    });
    await session.settled();
    if (session.state.current.phase === 'connected') await this.startMissing();
  }

  /** Stops the services, finishing what they are dealing with. Never rejects; happens once. */
  stop(): Promise<void> {
    this.stopping ??= (async () => {
      this.leaveSession();
      await this.starting;
      await Promise.all([...this.running.values()].map((service) => service.stop()));
    })();
    return this.stopping;
  }

  /** @internal */
  async close(): Promise<void> {
    await this.stop();
    await this.parts.close();
  }

  private startMissing(): Promise<void> {
    this.starting = this.starting.then(async () => {
      for (const found of this.found) {
        const { name } = found.config;
        if (this.stopping !== undefined || this.running.get(name)?.isStopped === false) continue;
        try {
          await this.startOne(found);
        } catch (error) {
          this.parts.logger.error(`the NATS service ${name} could not be started: ${messageOf(error)}`);
        }
      }
    });
    return this.starting;
  }

  private async startOne({ config, endpoints }: FoundService): Promise<void> {
    const { options, session, logger } = this.parts;
    const service = addService(session.connection, {
      clock: systemClock,
      logger,
      ...this.prefixes,
      ...options.service,
      ...config,
      metadata: { ...options.service?.metadata, ...config.metadata },
    });
    try {
      // At once, in this order: whoever asks while it starts must not be told of a service without endpoints.
      await Promise.all([
        service.start(),
        ...endpoints.map(({ name, options: endpoint, groups, handler }) => {
          const place = groups.reduce<NatsServiceHandle | ServiceGroup>(
            (outer, { name: group, options: { service: _service, ...inherited } }) => outer.addGroup(group, inherited),
            service,
          );
          return place.addEndpoint(name, this.propagating(handler), endpoint);
        }),
      ]);
      this.running.set(config.name, service);
      logger.log(`the NATS service ${config.name} ${config.version} answers on ${endpoints.length} endpoints`);
    } catch (error) {
      await service.stop();
      throw error;
    }
  }

  /** What a call takes along. */
  private ambient(): NatsHeaderMap | undefined {
    const propagated = this.current.getStore();
    const lane = this.parts.lane?.();
    return lane === undefined ? propagated : new Map([...(propagated ?? []), [lane[0], [lane[1]]]]);
  }

  /** What is called while a request is dealt with takes its tracing headers along, and its lane. */
  private propagating(inner: ServiceHandler): ServiceHandler {
    const { within } = this.parts;
    const handler: ServiceHandler =
      within === undefined
        ? inner
        : (request) => (request.hasHeaders ? within(plainHeaders(request), () => inner(request)) : inner(request));
    return (request) => {
      const headers = this.propagatedOf(request);
      // Without any there is nothing to remember: the storage slows every promise of the process down once it is used.
      return headers === undefined ? handler(request) : this.current.run(headers, () => handler(request));
    };
  }

  private propagatedOf(request: ServiceRequest): NatsHeaderMap | undefined {
    if (!request.hasHeaders) return undefined;
    const propagated = new Map<string, readonly string[]>();
    for (const name of this.parts.options.propagateHeaders ?? DEFAULT_PROPAGATED) {
      const values = request.headers.get(name);
      if (values !== undefined) propagated.set(name, values);
    }
    return propagated.size === 0 ? undefined : propagated;
  }
}

/** Names in lower case, each with its first value. */
function plainHeaders({ headers }: ServiceRequest): Record<string, string> {
  const plain = Object.create(null) as Record<string, string>;
  for (const [name, [first]] of headers) if (first !== undefined) plain[name.toLowerCase()] = first;
  return plain;
}

/** @throws DiscoveryError always: there is nothing to connect with */
export function noConnection(backend: string | undefined): never {
  const which = backend === undefined ? 'a nats() backend' : `a nats() backend called '${backend}'`;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `NatsServicesModule has no connection: give \`connection\`, or import DiscoveryModule with ${which}`,
    { field: 'connection' },
  );
}
