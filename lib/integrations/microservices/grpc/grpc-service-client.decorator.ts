import { isDeepStrictEqual } from 'node:util';
import { Inject } from '@nestjs/common';
import type { ClientGrpcProxy, GrpcOptions } from '@nestjs/microservices';
import { DiscoveryError, assertServiceName } from '../../../model/index.js';
import { declare } from '../../../nest/declared-providers.js';
import { tokenOf } from '../../../nest/discovery.constants.js';
import type { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import { loadMicroservices, type NestMicroservices } from '../nest-microservices.js';
import { POINT_CHECKS, type PointCallOptions } from '../point-options.js';
import { GrpcDiscovery } from './grpc-discovery.js';
import { serviceOf } from './grpc-library.js';
import { checkTargetOptions, type GrpcTarget, type GrpcTargetOptions } from './grpc-target.js';

/** Options of {@link GrpcServiceClient}: those of Nest's `Transport.GRPC` but for `url`, and those of the calls. */
export interface GrpcServiceClientOptions extends GrpcTargetOptions {
  /** The package of the `.proto`, or several. */
  readonly package: string | readonly string[];
  /** The `.proto` file, or several. */
  readonly protoPath?: string | readonly string[];
  /** In the place of `protoPath`: what it was loaded as. */
  readonly packageDefinition?: object;
  /** The package that loads it. @default '@grpc/proto-loader' */
  readonly protoLoader?: string;
  /** Options of the loader: `keepCase`, `includeDirs` … */
  readonly loader?: object;
  /** grpc-js's `ChannelCredentials`. @default none: not encrypted */
  readonly credentials?: object;
  /** In bytes. @default 4 MiB */
  readonly maxSendMessageLength?: number;
  /** In bytes. @default 4 MiB */
  readonly maxReceiveMessageLength?: number;
  /** In bytes. @default that of grpc-js */
  readonly maxMetadataSize?: number;
  /** `keepaliveTimeMs`, `keepaliveTimeoutMs`, `keepalivePermitWithoutCalls` … @default grpc-js's */
  readonly keepalive?: object;
}

interface Declared {
  readonly service: string;
  readonly options: GrpcServiceClientOptions;
  readonly token: string;
}

const all: Declared[] = [];

const TARGET_OPTIONS: readonly (keyof GrpcTargetOptions)[] = [
  ...(Object.keys(POINT_CHECKS) as (keyof PointCallOptions)[]),
  'idempotent',
  'definitions',
  'portMetadata',
  'serverName',
  'loadBalancing',
  'channelOptions',
  'grpc',
];

/**
 * Injects Nest's `ClientGrpc` for a service, in any module: `@GrpcServiceClient('GREETER', { package: 'hello', protoPath })
 * private readonly greeter: ClientGrpc`. Its `.proto` is read when it is first asked for a service; it is closed with the app.
 *
 * @param service the service's name in the registry
 * @param options as for Nest's `Transport.GRPC` without `url`, and what differs from `forRoot({ http, clients })` for its calls
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function GrpcServiceClient(
  service: string,
  options: GrpcServiceClientOptions,
): ParameterDecorator & PropertyDecorator {
  const token = getGrpcServiceClientToken(service, options);
  return (target: object, key: string | symbol | undefined, index?: number) => {
    if (index !== undefined) Inject(token)(target, key, index);
    else if (key !== undefined) Inject(token)(target, key);
  };
}

/** The injection token of `@GrpcServiceClient(service, options)`, for `overrideProvider` in tests. */
export function getGrpcServiceClientToken(service: string, options: GrpcServiceClientOptions): string {
  const known = all.find((one) => one.service === service && isDeepStrictEqual(one.options, options));
  if (known !== undefined) return known.token;
  assertServiceName(service, 'service');
  const { own, targets } = parted(options);
  checkTargetOptions(`@GrpcServiceClient('${service}')`, targets);
  if (own.package === undefined) {
    throw new DiscoveryError('INVALID_OPTION', `@GrpcServiceClient('${service}'): package is required`, {
      field: 'package',
    });
  }
  const count = all.filter((one) => one.service === service).length;
  const token = tokenOf('grpc', count === 0 ? service : `${service}:${count}`);
  all.push({ service, options, token });
  declare(token, async (runtime) => {
    const client = new LazyGrpcClient(service, own, await partsOf(runtime, service, targets));
    runtime.closeLast(async () => client.close());
    return client;
  });
  return token;
}

/** What a client is made of, or why it can't be made. */
type Parts = { readonly nest: NestMicroservices; readonly target: GrpcTarget } | { readonly error: unknown };

/** What keeps a client from being made is thrown by who uses it: every app of the process gets the client. */
async function partsOf(runtime: DiscoveryRuntime, service: string, options: GrpcTargetOptions): Promise<Parts> {
  try {
    const nest = await loadMicroservices();
    return { nest, target: await new GrpcDiscovery(runtime).target(service, options) };
  } catch (error) {
    return { error };
  }
}

/** Nest's client, made when it is needed. */
class LazyGrpcClient {
  private client: ClientGrpcProxy | undefined;
  private isClosed = false;

  constructor(
    private readonly service: string,
    private readonly options: GrpcOptions['options'],
    private readonly parts: Parts,
  ) {}

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as Nest has it
  getService<T extends object>(name: string): T {
    this.learn(name);
    return this.proxy().getService<T>(name);
  }

  // oxlint-disable-next-line typescript/no-explicit-any, typescript/no-unnecessary-type-parameters -- as Nest has it
  getClientByServiceName<T = any>(name: string): T {
    this.learn(name);
    return this.proxy().getClientByServiceName<T>(name);
  }

  close(): void {
    this.isClosed = true;
    this.client?.close();
  }

  /** What the `.proto` says of a service's methods. */
  private learn(name: string): void {
    const client = this.proxy().getClientByServiceName<{ readonly constructor: { readonly service?: object } }>(name);
    const { service } = client.constructor;
    if (service !== undefined && 'target' in this.parts) serviceOf(this.parts.target.channelOptions)?.learn(service);
  }

  private proxy(): ClientGrpcProxy {
    const { parts, service } = this;
    if ('error' in parts) throw parts.error as Error;
    if (this.isClosed) {
      throw new DiscoveryError('BACKEND_CLOSED', `${service} can't be called: the app was closed`, { service });
    }
    const { ClientProxyFactory, Transport } = parts.nest;
    this.client ??= ClientProxyFactory.create({
      transport: Transport.GRPC,
      options: { ...this.options, ...parts.target },
    });
    return this.client;
  }
}

function parted(options: GrpcServiceClientOptions): {
  readonly own: GrpcOptions['options'];
  readonly targets: GrpcTargetOptions;
} {
  const isTarget = (name: string): boolean => (TARGET_OPTIONS as readonly string[]).includes(name);
  const entries = Object.entries(options);
  return {
    own: Object.fromEntries(entries.filter(([name]) => !isTarget(name))) as unknown as GrpcOptions['options'],
    targets: Object.fromEntries(entries.filter(([name]) => isTarget(name))),
  };
}
