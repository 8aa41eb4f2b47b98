import type { ServiceInstance } from '../model/index.js';
import type { PickContext, Picker } from './picker.js';

/**
 * One after the other, beginning anywhere: a hundred clients that start together must not all call the first instance.
 * Over any `n` picks of `n` instances each is picked once.
 */
export class RoundRobinPicker implements Picker {
  private position: number;

  constructor(
    private readonly instances: readonly ServiceInstance[],
    previous: Picker | undefined,
    random: () => number,
  ) {
    const { length } = instances;
    this.position =
      previous instanceof RoundRobinPicker ? previous.position % Math.max(length, 1) : Math.floor(random() * length);
  }

  pick(context: PickContext): ServiceInstance | undefined {
    const { instances } = this;
    const { length } = instances;
    if (length === 0) return undefined;
    const first = this.next();
    const { tried } = context;
    if (first === undefined || tried === undefined || !tried.has(first.url)) return first;
    // Only a retry searches, and it meets at most as many instances as it has tried.
    for (let step = 1; step < length; step += 1) {
      const instance = this.next();
      if (instance !== undefined && !tried.has(instance.url)) return instance;
    }
    return first;
  }

  private next(): ServiceInstance | undefined {
    const instance = this.instances[this.position];
    this.position = this.position + 1 === this.instances.length ? 0 : this.position + 1;
    return instance;
  }
}
