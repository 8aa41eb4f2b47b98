import type { ClientProxy } from '@nestjs/microservices';
import { assertServiceName } from '../../../model/index.js';
import { declare } from '../../../nest/declared-providers.js';
import type { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import { callOptionsOf } from '../point-options.js';
import { loadMicroservices } from '../nest-microservices.js';
import { callAppOf } from '../watched-service.js';
import type { MessageAddress } from './message-address.js';
import { MessageService } from './message-service.js';
import { checkMessageOptions, PORT_METADATA, type MessageTargetOptions } from './messages.options.js';
import { serviceClientProxy, type ServiceClientProxyOptions } from './service-client-proxy.js';

/** What Nest's `ClientsModule` and `ClientProxyFactory` make a client of. */
export interface MessageTarget {
  /** A `ClientProxy` of Nest's. */
  // As Nest has them: the types of its package are not needed here.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly customClass: new (options: any) => any;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly options: Record<string, any>;
}

/** What instances are registered as that may take messages: many registries have no scheme of their own for them. */
const SCHEMES: readonly string[] = Object.freeze(['tcp', 'tls', 'http', 'https']);

/**
 * Nest's message clients that have a connection of their own to each instance, by the names of services. Injectable everywhere,
 * once the app imports this entry.
 *
 * ```ts
 * ClientsModule.registerAsync([{
 *   name: 'STOCK',
 *   inject: [MessageDiscovery],
 *   useFactory: (messages: MessageDiscovery) => messages.target('STOCK'),
 * }])
 * ```
 *
 * Transports that have a broker (NATS, Redis, RabbitMQ, Kafka, MQTT) need no addresses of instances: leave them as they are.
 *
 * @publicApi
 */
export class MessageDiscovery {
  /** @internal Made by the module. */
  constructor(private readonly runtime: DiscoveryRuntime) {}

  /**
   * What a client of the service is made with.
   *
   * @param service the service's name
   * @param options what differs from `forRoot({ http, clients })` for these calls
   * @throws DiscoveryError `INVALID_NAME`, `INVALID_OPTION`, `MISSING_PEER`, `PEER_UNUSABLE`
   */
  async target(service: string, options: MessageTargetOptions = {}): Promise<MessageTarget> {
    assertServiceName(service, 'service');
    checkMessageOptions(`target('${service}')`, options);
    const { idempotent = [], portMetadata = PORT_METADATA, tcp = {}, client, keyOf } = options;
    const nest = await loadMicroservices();
    const { runtime } = this;
    const known = new MessageService(
      callAppOf(runtime),
      service,
      runtime.callOptionsFor(service, callOptionsOf(options)),
      // What a transport of one's own calls isn't ours to know.
      client === undefined ? SCHEMES : undefined,
      {
        portMetadata,
        keyOf,
        createClient:
          (client as ((address: MessageAddress) => ClientProxy) | undefined) ??
          (({ host, port }) => new nest.ClientTCP({ ...tcp, host, port }) as unknown as ClientProxy),
      },
    );
    const own: ServiceClientProxyOptions = { service: known, idempotent };
    return { customClass: serviceClientProxy(nest), options: { ...own } };
  }
}

declare(MessageDiscovery, (runtime) => new MessageDiscovery(runtime));
