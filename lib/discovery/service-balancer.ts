import { Balancer, type BalancerOptions, type Endpoint, type Outcome, type PickContext } from '../balancing/index.js';
import type { ServiceInstance, Snapshot } from '../model/index.js';
import type { View } from '../backend/index.js';

const routable = new WeakMap<Snapshot, readonly ServiceInstance[]>();

/** The instances of a snapshot that may be called: UP, with a weight. Worked out once per snapshot. */
export function routableInstances(snapshot: Snapshot): readonly ServiceInstance[] {
  let instances = routable.get(snapshot);
  if (instances === undefined) {
    instances = Object.freeze(snapshot.instances.filter(({ status, weight }) => status === 'UP' && weight > 0));
    routable.set(snapshot, instances);
  }
  return instances;
}

/** Picks from a view; the balancer gets a new list with the first pick after the instances have changed. */
export class ServiceBalancer {
  private readonly balancer: Balancer;
  private seen: Snapshot | undefined;
  private instances: readonly ServiceInstance[] | undefined;

  constructor(
    readonly view: View<Snapshot>,
    options: BalancerOptions,
  ) {
    this.balancer = new Balancer(options);
  }

  /** An endpoint to call, or undefined when the present snapshot has none. */
  pick(context: PickContext): Endpoint | undefined {
    const snapshot = this.view.current;
    if (snapshot !== this.seen) this.update(snapshot);
    return this.balancer.pick(context);
  }

  /** Those that calls may go to, with what was seen of them. */
  get candidates(): readonly Endpoint[] {
    const snapshot = this.view.current;
    if (snapshot !== this.seen) this.update(snapshot);
    return this.balancer.candidates;
  }

  /** See {@link Balancer.begin}. */
  begin(endpoint: Endpoint): number {
    return this.balancer.begin(endpoint);
  }

  /** See {@link Balancer.end}. */
  end(endpoint: Endpoint, startedAt: number, outcome: Outcome): void {
    this.balancer.end(endpoint, startedAt, outcome);
  }

  /** See {@link Balancer.pushBack}. */
  pushBack(endpoint: Endpoint, forMs: number): void {
    this.balancer.pushBack(endpoint, forMs);
  }

  private update(snapshot: Snapshot): void {
    this.seen = snapshot;
    // A change of state or error alone leaves the instances, and with them the pickers, as they are.
    if (snapshot.instances === this.instances) return;
    this.instances = snapshot.instances;
    this.balancer.update(routableInstances(snapshot), snapshot.instances);
  }
}
