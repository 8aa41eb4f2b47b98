import type { ServiceInstance } from '../model/index.js';
import type { PickContext, Picker } from './picker.js';

/** Any instance, each as likely as the others. */
export class RandomPicker implements Picker {
  constructor(
    private readonly instances: readonly ServiceInstance[],
    private readonly random: () => number,
  ) {}

  pick(context: PickContext): ServiceInstance | undefined {
    const { instances } = this;
    const { length } = instances;
    const start = Math.floor(this.random() * length);
    const first = instances[start];
    const { tried } = context;
    if (first === undefined || tried === undefined || !tried.has(first.url)) return first;
    // Only a retry searches; the step over tried ones keeps the choice among the rest nearly even.
    const rest = instances.filter((instance) => !tried.has(instance.url));
    return rest[Math.floor(this.random() * rest.length)] ?? first;
  }
}
