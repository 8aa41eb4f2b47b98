import type { Endpoint } from './endpoint.js';
import { wasTried, type PickContext, type Picker } from './picker.js';

/**
 * At random, in proportion to the instances' weights, by Vose's alias method: the table is built once per list, a pick is
 * one draw and one comparison.
 */
export class WeightedPicker implements Picker {
  private readonly threshold: Float64Array;
  private readonly alias: Uint32Array;

  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly random: () => number,
  ) {
    const { length } = endpoints;
    this.threshold = new Float64Array(length).fill(1);
    this.alias = Uint32Array.from({ length }, (_, index) => index);
    const total = endpoints.reduce((sum, { instance }) => sum + instance.weight, 0);
    const scaled = endpoints.map(({ instance }) => (instance.weight * length) / total);
    const small: number[] = [];
    const large: number[] = [];
    scaled.forEach((weight, index) => (weight < 1 ? small : large).push(index));
    while (small.length > 0 && large.length > 0) {
      const less = small.pop() ?? 0;
      const more = large.pop() ?? 0;
      this.threshold[less] = scaled[less] ?? 1;
      this.alias[less] = more;
      const rest = (scaled[more] ?? 1) + (scaled[less] ?? 1) - 1;
      scaled[more] = rest;
      (rest < 1 ? small : large).push(more);
    }
    // What is left over is 1 but for rounding, which is what the table is filled with.
  }

  pick(context: PickContext): Endpoint | undefined {
    const endpoint = this.draw();
    if (endpoint === undefined || !wasTried(context, endpoint)) return endpoint;
    return this.drawUntried(context) ?? endpoint;
  }

  private draw(): Endpoint | undefined {
    // One draw serves twice: its whole part is the column, its fraction the coin.
    const position = this.random() * this.endpoints.length;
    const column = Math.floor(position);
    const index = position - column < (this.threshold[column] ?? 1) ? column : (this.alias[column] ?? column);
    return this.endpoints[index];
  }

  /** For retries: by weight among the rest. */
  private drawUntried(context: PickContext): Endpoint | undefined {
    const rest = this.endpoints.filter((endpoint) => !wasTried(context, endpoint));
    let left = this.random() * rest.reduce((sum, { instance }) => sum + instance.weight, 0);
    return rest.find(({ instance }) => (left -= instance.weight) < 0) ?? rest.at(-1);
  }
}
