import { FIRST_TRY, type PickContext } from '../../../balancing/index.js';
import type { ResolvedCallOptions } from '../../../http/index.js';
import type { ServiceInstance } from '../../../model/index.js';
import { portOf } from '../port-metadata.js';
import { WatchedService, type CallApp } from '../watched-service.js';
import type { GrpcCall } from './grpc-call.js';
import { POLICY, SERVICE_KEY, type CallMetadata, type GrpcLibrary } from './grpc-port.js';

/** What is said of a target besides how its calls are made. */
export interface GrpcServiceSettings {
  readonly idempotent: readonly string[];
  readonly portMetadata: readonly string[];
  readonly serverName: string | undefined;
  readonly policy: object | undefined;
}

/** Where an instance serves gRPC. */
export interface GrpcAddress {
  readonly instance: ServiceInstance;
  readonly host: string;
  readonly port: number;
}

/** What instances are registered as that may serve gRPC: Go's and Java's servers often have no scheme of their own. */
const SCHEMES: readonly string[] = Object.freeze(['grpc', 'grpcs', 'http', 'https']);

/** How often the registries are asked anew at most, because connections break. */
const REFRESH_EVERY_MS = 5000;

/** The metadata by which a call is known where its configuration is chosen. It is taken off there, and never sent. */
const CALL_KEY = 'x-nestjs-service-discovery-call';

/** The most tries that grpc-js makes of a call. */
const MOST_TRIES = 5;

/** A channel, as far as its calls are concerned. */
export interface ChannelState {
  /** Whether it has its configuration, which it then has for good. */
  isConfigured: boolean;
}

/** A method as grpc-js's loader has it. */
interface MethodDefinition {
  readonly path: string;
  readonly options?: { readonly idempotency_level?: unknown };
}

/** One service, as the gRPC clients of one target call it. */
export class GrpcService extends WatchedService {
  /** Calls whose configuration isn't chosen yet, by the id that their metadata has until then. */
  private readonly calls = new Map<string, { readonly call: GrpcCall; readonly channel: ChannelState }>();
  /** The call that is being started. */
  starting: GrpcCall | undefined;
  private lastId = 0;
  /** Paths of methods that may be called again, as their definitions say. */
  private readonly idempotent = new Set<string>();
  private refreshedAt = -Infinity;
  /** Which policy grpc-js is to use; its retries are chosen call by call. */
  readonly config: object;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Chooses how a call is retried. */
  readonly selector: object;

  constructor(
    app: CallApp,
    readonly library: GrpcLibrary,
    name: string,
    options: ResolvedCallOptions,
    private readonly settings: GrpcServiceSettings,
  ) {
    super(app, name, options, SCHEMES);
    this.config = { loadBalancingConfig: [settings.policy ?? { [POLICY]: {} }], methodConfig: [] };
    this.attributes = { [SERVICE_KEY]: this };
    this.selector = selectorOf(this);
  }

  /** Not what it holds, where channel options are written to a log. */
  toJSON(): string {
    return this.name;
  }

  /** Those that calls may go to, and where. */
  addresses(): readonly GrpcAddress[] {
    return this.called.route.candidates.flatMap(({ instance }) => {
      const port = portOf(instance, this.settings.portMetadata);
      return port === undefined ? [] : [{ instance, host: instance.host, port }];
    });
  }

  /** The names of the metadata that says where an instance serves gRPC. */
  get portMetadata(): readonly string[] {
    return this.settings.portMetadata;
  }

  /** The name that an instance's certificate must have; undefined: the service's own. */
  serverNameOf({ host }: GrpcAddress): string | undefined {
    const { serverName } = this.settings;
    // TLS has no addresses in the place of names.
    return serverName ?? (/^[\d.]+$|:/.test(host) ? undefined : host);
  }

  /** Asks the registries anew, not too often. */
  refreshSoon(): void {
    const now = this.app.clock.now();
    if (now - this.refreshedAt < REFRESH_EVERY_MS) return;
    this.refreshedAt = now;
    this.app.views
      .peek(this.name)
      ?.refresh()
      .catch(() => {});
  }

  /** A call begins on a channel without a configuration: it is known by its metadata until that is chosen. @returns its id */
  add(call: GrpcCall, metadata: CallMetadata, channel: ChannelState): string {
    this.lastId += 1;
    const id = String(this.lastId);
    metadata.set(CALL_KEY, id);
    this.calls.set(id, { call, channel });
    return id;
  }

  /** The call whose configuration is chosen; undefined for one of a channel that isn't ours. */
  take(metadata: CallMetadata): GrpcCall | undefined {
    const [id] = this.calls.size === 0 ? [] : metadata.get(CALL_KEY);
    if (typeof id !== 'string') return this.starting;
    metadata.remove(CALL_KEY);
    const known = this.calls.get(id);
    this.calls.delete(id);
    // From now on its channel chooses at once.
    if (known !== undefined) known.channel.isConfigured = true;
    return known?.call;
  }

  /** A call has ended, which may have had no configuration. */
  delete(id: string): void {
    this.calls.delete(id);
  }

  /** What a call goes by, of its metadata and the request in whose course it is made. */
  contextOf(metadata: CallMetadata): PickContext {
    const { routing } = this.app;
    if (routing.isPlain(this.options)) return FIRST_TRY;
    const header = (name: string): string | undefined => {
      const [value] = metadata.get(name.toLowerCase());
      return typeof value === 'string' ? value : undefined;
    };
    return routing.contextOf(this.name, this.options, { header });
  }

  /** Whether a method may be called again when it may have been called. */
  isIdempotent(path: string): boolean {
    if (this.options.retry.unsafeMethods || this.idempotent.has(path)) return true;
    const { idempotent } = this.settings;
    return idempotent.some((name) => path === name || path === `/${name}` || path.endsWith(`/${name}`));
  }

  /** Takes from a service's definition, as grpc-js's loader makes it, which methods may be called again. */
  learn(definition: object): void {
    for (const method of Object.values(definition) as readonly MethodDefinition[]) {
      const level = method.options?.idempotency_level;
      if (level === 'NO_SIDE_EFFECTS' || level === 'IDEMPOTENT') this.idempotent.add(method.path);
    }
  }

  /** How many tries grpc-js may make. */
  get tries(): number {
    const { maxAttempts } = this.options;
    return maxAttempts === 'all' ? MOST_TRIES : Math.min(maxAttempts, MOST_TRIES);
  }
}

/**
 * How a method's calls may be retried, and which call it is, for those who pick. A function as 1.12 has it, and an object as
 * newer versions do.
 */
function selectorOf(service: GrpcService): object {
  const { tries } = service;
  const plain = { name: [] };
  const repeated = {
    name: [],
    retryPolicy: {
      maxAttempts: tries,
      initialBackoff: '0.01s',
      maxBackoff: '0.1s',
      backoffMultiplier: 2,
      retryableStatusCodes: ['UNAVAILABLE'],
    },
  };
  const choose = (path: string, metadata: CallMetadata): object => {
    const mayRepeat = service.isIdempotent(path);
    return {
      methodConfig: mayRepeat && tries > 1 ? repeated : plain,
      pickInformation: { call: service.take(metadata) },
      status: 0,
      dynamicFilterFactories: [],
    };
  };
  return Object.assign(choose, { invoke: choose, unref: () => {} });
}
