import { peerError } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import {
  POLICY,
  SCHEME,
  SERVICE_KEY,
  type BalancerParts,
  type ChannelOptions,
  type GrpcLibrary,
  type ResolverListener,
} from './grpc-port.js';
import { ServiceBalancer } from './service-balancer.js';
import type { GrpcService } from './grpc-service.js';
import { ServiceResolver } from './service-resolver.js';

type Experimental = GrpcLibrary['experimental'];

/**
 * Loads grpc-js, and makes services and our balancing known to it.
 *
 * @param given the copy to take. @default the one that this package finds
 * @throws DiscoveryError `MISSING_PEER`, `PEER_UNUSABLE`
 */
export async function loadGrpc(given?: GrpcLibrary): Promise<GrpcLibrary> {
  const library = given ?? (await importGrpc());
  register(library);
  return library;
}

async function importGrpc(): Promise<GrpcLibrary> {
  try {
    const module: object = await import('@grpc/grpc-js');
    // A CommonJS module: whoever loads it may have it in the module's default only.
    const whole = 'InterceptingCall' in module ? module : (module as { readonly default: object }).default;
    return whole as GrpcLibrary;
  } catch (error) {
    throw peerError('/microservices', '@grpc/grpc-js', error);
  }
}

/** Registering again changes nothing: what is registered holds nothing of an app. */
function register(library: GrpcLibrary): void {
  const { experimental } = library as Partial<GrpcLibrary>;
  const lacks = NEEDED.find((name) => typeof experimental?.[name] !== 'function');
  if (experimental === undefined || lacks !== undefined) {
    throw new DiscoveryError(
      'PEER_UNUSABLE',
      `nestjs-service-discovery/microservices needs @grpc/grpc-js 1.12 or newer: this one has no experimental.${lacks ?? 'registerResolver'}`,
      { field: '@grpc/grpc-js' },
    );
  }
  experimental.registerResolver(SCHEME, resolverClass(experimental));
  experimental.registerLoadBalancerType(POLICY, policyClass(library), Config);
  assertPolicy(experimental, { [POLICY]: {} });
}

const NEEDED = [
  'registerResolver',
  'registerLoadBalancerType',
  'parseLoadBalancingConfig',
  'LeafLoadBalancer',
  'createChildChannelControlHelper',
] as const;

/**
 * Policies that grpc-js doesn't understand it leaves out without a word, and calls one instance only.
 *
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function assertPolicy(experimental: Experimental, policy: object): void {
  const fail = (reason: string): never => {
    throw new DiscoveryError(
      'INVALID_OPTION',
      `loadBalancing: grpc-js wouldn't use ${JSON.stringify(policy)}, and would call one instance only: ${reason}`,
      { field: 'loadBalancing' },
    );
  };
  const [name = '', ...more] = Object.keys(policy);
  if (more.length > 0 || name === '') fail('it must have one policy, as { round_robin: {} }');
  if (!experimental.isLoadBalancerNameRegistered(name)) fail(`it knows no policy ${name}`);
  try {
    experimental.parseLoadBalancingConfig(policy as never);
  } catch (error) {
    fail((error as Error).message);
  }
}

class Config {
  static createFromJson(): Config {
    return new Config();
  }

  getLoadBalancerName(): string {
    return POLICY;
  }

  toJsonObject(): object {
    return { [POLICY]: {} };
  }
}

/** The service that channel options hand on. */
export function serviceOf(options: ChannelOptions): GrpcService | undefined {
  return options[SERVICE_KEY] as GrpcService | undefined;
}

/** What becomes of a target: its service's own resolver. */
function resolverClass(experimental: Experimental): Parameters<Experimental['registerResolver']>[1] {
  class Resolver {
    constructor(target: { readonly path: string }, listener: unknown, options: ChannelOptions) {
      const service = serviceOf(options);
      if (service === undefined) {
        throw new DiscoveryError(
          'INVALID_OPTION',
          `${SCHEME}:${target.path} goes with the channelOptions that GrpcDiscovery.target() gives with it`,
          { field: 'channelOptions' },
        );
      }
      return new ServiceResolver(service, listenerOf(experimental, listener));
    }

    static getDefaultAuthority({ path }: { readonly path: string }): string {
      // A header: what else a service may be called means nothing there.
      return path.replace(/[^\w.-]/g, '-');
    }
  }
  return Resolver as unknown as Parameters<Experimental['registerResolver']>[1];
}

/** As grpc-js 1.12 and 1.13 have it. */
interface OldListener {
  onSuccessfulResolution(list: object, config: object, error: null, selector: object | null, attributes: object): void;
  onError(error: object): void;
}

/** As 1.14 has it. */
type NewListener = (list: object, attributes: object, config: object, note: string) => boolean;

/** From 1.14 on under this name, in the attributes; before, an argument of its own. */
const SELECTOR_KEY = 'grpc.internal.config_selector';

/** The listener of whatever version. */
function listenerOf({ statusOrFromValue, statusOrFromError }: Experimental, listener: unknown): ResolverListener {
  if (typeof listener !== 'function') {
    const old = listener as OldListener;
    return {
      resolved: (endpoints, config, selector, attributes) =>
        old.onSuccessfulResolution(endpoints, config, null, selector ?? null, attributes),
      failed: (error) => old.onError(error),
    };
  }
  const told = listener as NewListener;
  return {
    resolved: (endpoints, config, selector, attributes) => {
      const all = selector === undefined ? attributes : { ...attributes, [SELECTOR_KEY]: selector };
      told(statusOrFromValue(endpoints), all, statusOrFromValue(config), '');
    },
    failed: (error) => told(statusOrFromError(error as never), {}, statusOrFromValue({}), ''),
  };
}

/** Our balancing, in whatever version's dress. */
function policyClass(library: GrpcLibrary): Parameters<Experimental['registerLoadBalancerType']>[1] {
  const { experimental } = library;
  // From 1.13 on channel options come with the list; before, with the balancer, and so do the credentials.
  const isOld = !('SUBCHANNEL_ARGS_EXCLUDE_KEY_PREFIX' in experimental);
  const Leaf = experimental.LeafLoadBalancer as unknown as LeafConstructor;
  class Policy {
    private balancer: ServiceBalancer | undefined;

    constructor(
      private readonly helper: BalancerParts['helper'],
      private readonly credentials?: unknown,
      private readonly options: ChannelOptions = {},
    ) {}

    updateAddressList(list: unknown, _config: object, channelOptions: ChannelOptions): boolean {
      const options = isOld ? this.options : channelOptions;
      const { helper, credentials } = this;
      const service = serviceOf(options);
      if (service === undefined) return false;
      this.balancer ??= new ServiceBalancer(service, {
        library,
        helper,
        isOld,
        createLeaf: (endpoint, own, leafOptions) =>
          isOld ? new Leaf(endpoint, own, credentials, leafOptions) : new Leaf(endpoint, own, leafOptions, ''),
      });
      const failed = (list as { readonly ok?: boolean; readonly error?: object }).ok === false;
      // What a resolver adds would tell connections apart that are the same.
      const { [SELECTOR_KEY]: _, ...own } = options;
      if (!failed) this.balancer.update(own);
      return true;
    }

    exitIdle(): void {}

    resetBackoff(): void {}

    destroy(): void {
      this.balancer?.close();
    }

    getTypeName(): string {
      return POLICY;
    }
  }
  return Policy;
}

type LeafConstructor = new (
  endpoint: object,
  helper: object,
  ...more: readonly unknown[]
) => ReturnType<BalancerParts['createLeaf']>;
