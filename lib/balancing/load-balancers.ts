import { DiscoveryError, describe, type ServiceInstance } from '../model/index.js';
import { ConsistentHashPicker, StickyPicker } from './consistent-hash.js';
import type { Endpoint, TrackedEndpoint } from './endpoint.js';
import { LeastPendingPicker } from './least-pending.js';
import { PowerOfTwoPicker } from './p2c.js';
import {
  STRATEGIES,
  type BalancingStrategy,
  type LoadBalancer,
  type PickContext,
  type Picker,
  type PickFunction,
} from './picker.js';
import { OtherPicker, RandomPicker, StickPicker } from './random.js';
import { RoundRobinPicker } from './round-robin.js';
import { WeightedPicker } from './weighted.js';

/** How a picker is built for a list, given the one of the list before. */
type CreatePicker = LoadBalancer['createPicker'];

/**
 * The load balancer of a strategy.
 *
 * @throws DiscoveryError `INVALID_OPTION` for a name that doesn't exist
 */
export function createLoadBalancer(strategy: BalancingStrategy, random: () => number = Math.random): LoadBalancer {
  if (isLoadBalancer(strategy)) {
    return { createPicker: (endpoints, previous) => new GuardedPicker(strategy, endpoints, previous, random) };
  }
  return { createPicker: createPickerOf(strategy, random) };
}

/** Whether a value is a load balancer, rather than a function or a name. */
export function isLoadBalancer(value: unknown): value is LoadBalancer {
  return (
    typeof value === 'object' && value !== null && 'createPicker' in value && typeof value.createPicker === 'function'
  );
}

function createPickerOf(strategy: Exclude<BalancingStrategy, LoadBalancer>, random: () => number): CreatePicker {
  if (typeof strategy === 'function') return (endpoints) => new FunctionPicker(endpoints, strategy, random);
  switch (strategy) {
    case 'round-robin':
      return (endpoints, previous) => new RoundRobinPicker(endpoints, previous, random);
    case 'random':
      return (endpoints) => new RandomPicker(endpoints, random);
    case 'weighted':
      return (endpoints) => new WeightedPicker(endpoints, random);
    case 'stick':
      return (endpoints, previous) => new StickPicker(endpoints, previous, random);
    case 'other':
      return (endpoints, previous) => new OtherPicker(endpoints, previous, random);
    case 'least-pending':
      return (endpoints) => new LeastPendingPicker(endpoints, random);
    case 'p2c':
      return (endpoints: readonly TrackedEndpoint[]) => new PowerOfTwoPicker(endpoints, random);
    case 'consistent-hash':
      return (endpoints) => new ConsistentHashPicker(endpoints, random);
    case 'sticky':
      return (endpoints, previous) => new StickyPicker(endpoints, previous, random);
    default:
      throw new DiscoveryError(
        'INVALID_OPTION',
        `balancing must be one of ${STRATEGIES.map((name) => `'${name}'`).join(', ')}, an object with createPicker or a function, got ${describe(strategy)}`,
        { field: 'balancing' },
      );
  }
}

/** A user's function; when it declines, or names an instance that isn't in the list, chance decides. */
class FunctionPicker implements Picker {
  private readonly fallback: RandomPicker;
  private readonly instances: readonly ServiceInstance[];
  private readonly byInstance: ReadonlyMap<ServiceInstance, Endpoint>;

  constructor(
    endpoints: readonly Endpoint[],
    private readonly choose: PickFunction,
    random: () => number,
  ) {
    this.fallback = new RandomPicker(endpoints, random);
    this.instances = Object.freeze(endpoints.map(({ instance }) => instance));
    this.byInstance = new Map(endpoints.map((endpoint) => [endpoint.instance, endpoint]));
  }

  pick(context: PickContext): Endpoint | undefined {
    if (this.instances.length === 0) return undefined;
    const chosen = this.choose(this.instances, context);
    return (chosen === undefined ? undefined : this.byInstance.get(chosen)) ?? this.fallback.pick(context);
  }
}

/** A user's picker; when it names an endpoint that isn't in the list, or isn't any more, chance decides. */
class GuardedPicker implements Picker {
  private readonly picker: Picker;
  private readonly fallback: RandomPicker;
  private readonly endpoints: ReadonlySet<Endpoint>;

  constructor(
    balancer: LoadBalancer,
    endpoints: readonly Endpoint[],
    previous: Picker | undefined,
    random: () => number,
  ) {
    this.picker = balancer.createPicker(endpoints, previous instanceof GuardedPicker ? previous.picker : undefined);
    this.fallback = new RandomPicker(endpoints, random);
    this.endpoints = new Set(endpoints);
  }

  pick(context: PickContext, now: number): Endpoint | undefined {
    const endpoint = this.picker.pick(context, now);
    return endpoint !== undefined && this.endpoints.has(endpoint) ? endpoint : this.fallback.pick(context);
  }

  pendingChanged(endpoint: Endpoint): void {
    this.picker.pendingChanged?.(endpoint);
  }
}
