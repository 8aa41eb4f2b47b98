import type { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import { declare } from '../../../nest/declared-providers.js';
import { assertServiceName } from '../../../model/index.js';
import { callOptionsOf } from '../point-options.js';
import { callAppOf } from '../watched-service.js';
import { CallChannel } from './call-channel.js';
import { assertPolicy, loadGrpc } from './grpc-library.js';
import { SCHEME, SERVICE_KEY, type GrpcLibrary } from './grpc-port.js';
import { GrpcService } from './grpc-service.js';
import { checkTargetOptions, PORT_METADATA, type GrpcTarget, type GrpcTargetOptions } from './grpc-target.js';

/**
 * gRPC to services by their names. Injectable everywhere, once the app imports this entry.
 *
 * ```ts
 * ClientsModule.registerAsync([{
 *   name: 'GREETER',
 *   inject: [GrpcDiscovery],
 *   useFactory: async (grpc: GrpcDiscovery) => ({
 *     transport: Transport.GRPC,
 *     options: { package: 'hello', protoPath, ...(await grpc.target('GREETER')) },
 *   }),
 * }])
 * ```
 *
 * @publicApi
 */
export class GrpcDiscovery {
  /** @internal Made by the module. */
  constructor(private readonly runtime: DiscoveryRuntime) {}

  /**
   * What a client of the service is made with, of Nest's or of grpc-js's own: each of its calls goes to an instance that the
   * app's load balancer picks, and is counted and told as any other call of the app. The service is watched for as long as
   * there is a client that calls.
   *
   * @param service the service's name
   * @param options what differs from `forRoot({ http, clients })` for these calls
   * @throws DiscoveryError `INVALID_NAME`, `INVALID_OPTION`, `MISSING_PEER`, `PEER_UNUSABLE`
   */
  async target(service: string, options: GrpcTargetOptions = {}): Promise<GrpcTarget> {
    assertServiceName(service, 'service');
    checkTargetOptions(`target('${service}')`, options);
    const { loadBalancing, channelOptions, idempotent = [], portMetadata = PORT_METADATA, serverName } = options;
    const library = await loadGrpc(options.grpc as GrpcLibrary | undefined);
    if (loadBalancing !== undefined) assertPolicy(library.experimental, loadBalancing);
    const { runtime } = this;
    const known = new GrpcService(
      callAppOf(runtime),
      library,
      service,
      runtime.callOptionsFor(service, callOptionsOf(options)),
      { idempotent, portMetadata, serverName, policy: loadBalancing },
    );
    for (const definition of options.definitions ?? []) known.learn(definition);
    const { interceptors = [], ...more } = channelOptions ?? {};
    const url = `${SCHEME}:${service}`;
    const channel = new CallChannel(known, library, url);
    return {
      url,
      channelOptions: {
        ...DEFAULTS,
        // Connections are shared by whoever asks for the same: not by the apps of a process.
        'grpc.internal.nestjs_service_discovery_app': runtime.appId,
        // For connections that a policy of grpc-js's own makes.
        ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
        ...more,
        [SERVICE_KEY]: known,
        channelFactoryOverride: channel.create,
        interceptors: [channel.interceptor, ...(interceptors as object[])],
      },
    };
  }
}

const DEFAULTS = {
  // A proxy of the environment would be called in the place of the service.
  'grpc.enable_http_proxy': 0,
  // grpc-js waits up to two minutes: an instance that is registered again is called again soon.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 5000,
};

declare(GrpcDiscovery, (runtime) => new GrpcDiscovery(runtime));
