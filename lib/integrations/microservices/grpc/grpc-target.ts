import { checkOptions, listOf, satisfying, text, type Check } from '../../../backend/index.js';
import { POINT_CHECKS, type PointCallOptions } from '../point-options.js';

/** How the calls of a gRPC client are made that differs from `forRoot({ http, clients })`. */
export interface GrpcTargetOptions extends PointCallOptions {
  /**
   * Methods that may be called again when they may have been called, and their connection broke: `SayHello`, or
   * `hello.Greeter/SayHello`; besides those of `definitions`. @default []
   */
  readonly idempotent?: readonly string[];
  /**
   * What grpc-js's loader has made of services (`Greeter.service`): the methods whose `idempotency_level` is `NO_SIDE_EFFECTS` or
   * `IDEMPOTENT` may be called again. grpc-js keeps them to itself; Nest's `ClientGrpc` of `@GrpcServiceClient` needs none. @default []
   */
  readonly definitions?: readonly object[];
  /**
   * Names of the metadata that says on which port an instance serves gRPC; the first that it has counts, and without one its own
   * port. @default ['gRPC_port', 'grpc.port', 'gRPC.port', 'grpc_port']
   */
  readonly portMetadata?: readonly string[];
  /**
   * With TLS, the name that the certificates of the instances must have. @default the instance's host; where that is an
   * address, the service's name
   */
  readonly serverName?: string;
  /**
   * One of grpc-js's own policies in the place of ours, as `{ round_robin: {} }`: it gets the instances, and knows nothing of
   * zones, lanes and what other calls have seen. @default ours
   */
  readonly loadBalancing?: object;
  /** More channel options, which win over ours: `{ 'grpc.max_receive_message_length': 1e8 }`. @default {} */
  readonly channelOptions?: Readonly<Record<string, unknown>>;
  /** The copy of `@grpc/grpc-js` whose clients get the target. @default the one that this package finds */
  readonly grpc?: object;
}

/** What a gRPC client is made with: `new GreeterClient(url, credentials, channelOptions)`, or Nest's `Transport.GRPC`. */
export interface GrpcTarget {
  /** `discovery:GREETER` */
  readonly url: string;
  /** Channel options, and the interceptor of grpc-js's that begins and ends the calls. */
  // What Nest's types and grpc-js's own have in common.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly channelOptions: Record<string, any>;
}

/** Where Java's starters, Go's services and this module write it; Consul's keys have no dots. */
export const PORT_METADATA: readonly string[] = Object.freeze(['gRPC_port', 'grpc.port', 'gRPC.port', 'grpc_port']);

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

const CHECKS: Readonly<Record<keyof GrpcTargetOptions, Check>> = {
  ...POINT_CHECKS,
  idempotent: listOf(text),
  definitions: listOf(satisfying("a service's definition", isObject)),
  portMetadata: satisfying(
    'a list of names',
    (value) => Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string' && one !== ''),
  ),
  serverName: text,
  loadBalancing: satisfying("an object with one of grpc-js's policies, as { round_robin: {} }", isObject),
  channelOptions: satisfying('an object', isObject),
  grpc: satisfying('the module @grpc/grpc-js', isObject),
};

/** @throws DiscoveryError `INVALID_OPTION`, naming the field */
export function checkTargetOptions(what: string, options: GrpcTargetOptions): void {
  checkOptions(what, options, CHECKS);
}
