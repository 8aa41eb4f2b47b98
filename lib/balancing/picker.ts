import type { ServiceInstance } from '../model/index.js';

/** What a pick may consider besides the instances. */
export interface PickContext {
  /** URLs of the instances that this call has tried already. */
  readonly tried?: ReadonlySet<string>;
}

/**
 * Chooses an instance from the list it was built for. Built once per snapshot and never changed by a pick other than in
 * its position; a pick does no I/O, waits for nothing and costs the same however long the list is.
 */
export interface Picker {
  /** One of the instances; one that wasn't tried yet, if there is one. Undefined only for an empty list. */
  pick(context: PickContext): ServiceInstance | undefined;
}

/**
 * Builds pickers. Called for every new list of instances, none of which is down or weighs nothing; `previous` is the
 * picker of the list before, so that a position can be carried on.
 */
export type LoadBalancer = (instances: readonly ServiceInstance[], previous: Picker | undefined) => Picker;

/** A load balancer as one function: any instance of the list, or undefined to leave the choice to chance. */
export type PickFunction = (instances: readonly ServiceInstance[], context: PickContext) => ServiceInstance | undefined;

/** A named strategy, or a choice of one's own. */
export type BalancingStrategy = 'round-robin' | 'random' | PickFunction;

const NOTHING_TRIED: PickContext = Object.freeze({});

/** The context of a first try. */
export const FIRST_TRY: PickContext = NOTHING_TRIED;
