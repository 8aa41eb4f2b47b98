import type { LoadBalancer, PickContext, Picker } from '../balancing/index.js';
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

/** Picks from a view with one strategy; the picker is rebuilt once per list of instances, by the first pick after it changed. */
export class ServiceBalancer {
  private picker: Picker | undefined;
  private builtFor: Snapshot | undefined;
  private builtFrom: readonly ServiceInstance[] | undefined;

  constructor(
    private readonly view: View<Snapshot>,
    private readonly loadBalancer: LoadBalancer,
  ) {}

  /** An instance that may be called, or undefined when the present snapshot has none. */
  pick(context: PickContext): ServiceInstance | undefined {
    const snapshot = this.view.current;
    if (snapshot !== this.builtFor) this.rebuild(snapshot);
    return this.picker?.pick(context);
  }

  private rebuild(snapshot: Snapshot): void {
    this.builtFor = snapshot;
    // A change of state or error alone leaves the instances, and with them the picker, as they are.
    if (snapshot.instances === this.builtFrom) return;
    this.builtFrom = snapshot.instances;
    this.picker = this.loadBalancer(routableInstances(snapshot), this.picker);
  }
}
