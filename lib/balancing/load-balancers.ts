import { DiscoveryError, describe, type ServiceInstance } from '../model/index.js';
import type { BalancingStrategy, LoadBalancer, PickContext, Picker, PickFunction } from './picker.js';
import { RandomPicker } from './random.js';
import { RoundRobinPicker } from './round-robin.js';

/** The names that {@link BalancingStrategy} knows. */
export const STRATEGIES = ['round-robin', 'random'] as const;

/**
 * The load balancer of a strategy.
 *
 * @throws DiscoveryError `INVALID_OPTION` for a name that doesn't exist
 */
export function createLoadBalancer(strategy: BalancingStrategy, random: () => number = Math.random): LoadBalancer {
  if (typeof strategy === 'function') {
    return (instances) => new FunctionPicker(instances, strategy, random);
  }
  switch (strategy) {
    case 'round-robin':
      return (instances, previous) => new RoundRobinPicker(instances, previous, random);
    case 'random':
      return (instances) => new RandomPicker(instances, random);
    default:
      throw new DiscoveryError(
        'INVALID_OPTION',
        `balancing must be one of ${STRATEGIES.map((name) => `'${name}'`).join(', ')} or a function, got ${describe(strategy)}`,
        { field: 'balancing' },
      );
  }
}

/** A user's function; when it declines, or names an instance that isn't in the list, chance decides. */
class FunctionPicker implements Picker {
  private readonly fallback: RandomPicker;
  private readonly known: ReadonlySet<ServiceInstance>;

  constructor(
    private readonly instances: readonly ServiceInstance[],
    private readonly choose: PickFunction,
    random: () => number,
  ) {
    this.fallback = new RandomPicker(instances, random);
    this.known = new Set(instances);
  }

  pick(context: PickContext): ServiceInstance | undefined {
    if (this.instances.length === 0) return undefined;
    const chosen = this.choose(this.instances, context);
    return chosen !== undefined && this.known.has(chosen) ? chosen : this.fallback.pick(context);
  }
}
