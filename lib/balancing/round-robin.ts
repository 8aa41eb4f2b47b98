import type { Endpoint } from './endpoint.js';
import { wasTried, type PickContext, type Picker } from './picker.js';

/**
 * One after the other, beginning anywhere: a hundred clients that start together must not all call the first instance.
 * Over any `n` picks of `n` endpoints each is picked once.
 */
export class RoundRobinPicker implements Picker {
  private position: number;

  constructor(
    private readonly endpoints: readonly Endpoint[],
    previous: Picker | undefined,
    random: () => number,
  ) {
    const { length } = endpoints;
    this.position =
      previous instanceof RoundRobinPicker ? previous.position % Math.max(length, 1) : Math.floor(random() * length);
  }

  pick(context: PickContext): Endpoint | undefined {
    const first = this.next();
    if (first === undefined || !wasTried(context, first)) return first;
    // Only a retry searches, and it meets at most as many as it has tried.
    for (let step = 1; step < this.endpoints.length; step += 1) {
      const endpoint = this.next();
      if (endpoint !== undefined && !wasTried(context, endpoint)) return endpoint;
    }
    return first;
  }

  private next(): Endpoint | undefined {
    const endpoint = this.endpoints[this.position];
    this.position = this.position + 1 >= this.endpoints.length ? 0 : this.position + 1;
    return endpoint;
  }
}
