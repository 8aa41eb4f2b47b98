import type * as Grpc from '@grpc/grpc-js';

/** The package `@grpc/grpc-js`, one copy of it. */
export type GrpcLibrary = typeof Grpc;

/** How targets that mean a service begin: `discovery:GREETER`. */
export const SCHEME = 'discovery';

/** What our balancing is called among grpc-js's policies. */
export const POLICY = 'nestjs_service_discovery';

/**
 * The channel option by which a channel knows the service of its app: grpc-js's tables of resolvers and policies are those of
 * the process, which may have more apps than one. What begins so takes no part in telling connections apart.
 */
export const SERVICE_KEY = 'grpc.internal.no_subchannel.nestjs_service_discovery';

/** Channel options, and what a resolver adds. */
export type ChannelOptions = Readonly<Record<string, unknown>>;

/** An address. */
export interface GrpcEndpoint {
  readonly addresses: { readonly host: string; readonly port: number }[];
}

/** Who is told of addresses: a channel. */
export interface ResolverListener {
  resolved(
    endpoints: readonly GrpcEndpoint[],
    config: object,
    selector: object | undefined,
    attributes: Readonly<Record<string, unknown>>,
  ): void;
  failed(error: { readonly code: number; readonly details: string; readonly metadata: object }): void;
}

/** What of metadata is used. */
export interface CallMetadata {
  get(name: string): readonly (string | Buffer)[];
  set(name: string, value: string): void;
  remove(name: string): void;
  clone(): CallMetadata;
}

/** How a call ended. */
export interface CallStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata?: CallMetadata;
}

/** What a picker says. */
export interface PickResult {
  readonly pickResultType: number;
  readonly subchannel: object | null;
  readonly status: CallStatus | null;
  readonly onCallStarted: (() => void) | null;
  readonly onCallEnded: ((code: number, details?: string, metadata?: CallMetadata) => void) | null;
}

/** The connection to one instance. */
export interface Leaf {
  startConnecting(): void;
  exitIdle(): void;
  getConnectivityState(): number;
  getPicker(): { pick(args: never): PickResult };
  destroy(): void;
}

/** What a channel gives its balancing. */
interface Helper {
  updateState(state: number, picker: object, message: string | null): void;
}

/** What our balancing needs. */
export interface BalancerParts {
  readonly library: GrpcLibrary;
  /** Whether it is older than 1.13: a connection's options are made otherwise. */
  readonly isOld: boolean;
  readonly helper: Helper & Parameters<GrpcLibrary['experimental']['createChildChannelControlHelper']>[0];
  readonly createLeaf: (endpoint: GrpcEndpoint, helper: BalancerParts['helper'], options: ChannelOptions) => Leaf;
}
