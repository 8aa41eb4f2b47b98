import type { ServiceInstance } from '../model/index.js';
import type { Endpoint } from './endpoint.js';

/** What a pick may consider besides the instances. */
export interface PickContext {
  /** URLs of the instances that this call has tried already. */
  readonly tried?: ReadonlySet<string>;
  /** No other try follows: where all that was tried is of the own zone, it leaves that. @default false */
  readonly last?: boolean;
  /** What calls that belong together have in common (a user, a shopping cart), for strategies that keep them together. */
  readonly key?: string;
  /** Only instances with this value of the hint's metadata, if there are any. */
  readonly hint?: string;
  /** The lane of the call: see `routing.lane`. @default that of the request in whose course the call is made */
  readonly lane?: string;
  /** The version of the API that is called: see `routing.version`. */
  readonly version?: string;
}

/**
 * Chooses an endpoint from the list it was built for. Built once per list; a pick does no I/O, waits for nothing,
 * allocates nothing and costs the same however long the list is. Only a retry, which avoids what was tried, may search.
 */
export interface Picker {
  /** One of the endpoints; one that wasn't tried yet, if there is one. Undefined only for an empty list. */
  pick(context: PickContext, now: number): Endpoint | undefined;
  /** Told when an endpoint's number of pending calls has changed, for pickers that keep it in order. */
  pendingChanged?(endpoint: Endpoint): void;
}

/** Builds pickers. */
export interface LoadBalancer {
  /**
   * Called for every new list of endpoints, all of which may be called; `previous` is the picker of the list before, so
   * that a position can be carried on.
   */
  createPicker(endpoints: readonly Endpoint[], previous: Picker | undefined): Picker;
}

/** A load balancer as one function: any instance of the list, or undefined to leave the choice to chance. */
export type PickFunction = (instances: readonly ServiceInstance[], context: PickContext) => ServiceInstance | undefined;

/** The names of the built-in strategies. */
export const STRATEGIES = [
  'round-robin',
  'random',
  'weighted',
  'stick',
  'other',
  'least-pending',
  'p2c',
  'consistent-hash',
  'sticky',
] as const;

/**
 * A named strategy, or a choice of one's own:
 *
 * - `round-robin`: one after the other, beginning anywhere;
 * - `random`: each as likely as the others;
 * - `weighted`: at random, by the instances' weights;
 * - `stick`: one and the same until it goes down;
 * - `other`: at random, never the same twice in a row;
 * - `least-pending`: the one with the fewest calls under way;
 * - `p2c`: of two at random, the one that promises the faster answer (response times, calls under way, failures);
 * - `consistent-hash`: calls with one key go to one instance, and few keys move when the list changes;
 * - `sticky`: as that, but a key never moves while its instance is there;
 * - a function: called for every pick;
 * - an object with `createPicker`: called for every new list, and its pickers for every pick.
 */
export type BalancingStrategy = (typeof STRATEGIES)[number] | PickFunction | LoadBalancer;

const NOTHING_TRIED: PickContext = Object.freeze({});

/** The context of a first try. */
export const FIRST_TRY: PickContext = NOTHING_TRIED;

/** True when a call has tried this endpoint. */
export function wasTried(context: PickContext, endpoint: Endpoint): boolean {
  return context.tried !== undefined && context.tried.has(endpoint.instance.url);
}

/** At random one that wasn't tried; undefined when all were. Costs the length of the list: for retries. */
export function pickUntried<E extends Endpoint>(
  endpoints: readonly E[],
  context: PickContext,
  random: () => number,
): E | undefined {
  const rest = endpoints.filter((endpoint) => !wasTried(context, endpoint));
  return rest[Math.floor(random() * rest.length)];
}
