import type { Endpoint } from './endpoint.js';
import { pickUntried, wasTried, type PickContext, type Picker } from './picker.js';

/** Any endpoint, each as likely as the others. */
export class RandomPicker implements Picker {
  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly random: () => number,
  ) {}

  pick(context: PickContext): Endpoint | undefined {
    const { endpoints } = this;
    const endpoint = endpoints[Math.floor(this.random() * endpoints.length)];
    if (endpoint === undefined || !wasTried(context, endpoint)) return endpoint;
    return pickUntried(endpoints, context, this.random) ?? endpoint;
  }
}

/** Any endpoint but the one that was picked last; with two or more never the same twice in a row. */
export class OtherPicker implements Picker {
  private last: Endpoint | undefined;

  constructor(
    private readonly endpoints: readonly Endpoint[],
    previous: Picker | undefined,
    private readonly random: () => number,
  ) {
    if (previous instanceof OtherPicker) this.last = previous.last;
  }

  pick(context: PickContext): Endpoint | undefined {
    const { endpoints, last } = this;
    const { length } = endpoints;
    const index = Math.floor(this.random() * length);
    let endpoint = endpoints[index];
    // The next one in the list instead of the last: that costs its neighbour a little evenness, and no second draw.
    if (endpoint === last && length > 1)
      endpoint = endpoints[(index + 1 + Math.floor(this.random() * (length - 1))) % length];
    if (endpoint !== undefined && wasTried(context, endpoint)) {
      endpoint = pickUntried(endpoints, context, this.random) ?? endpoint;
    }
    this.last = endpoint;
    return endpoint;
  }
}

/** One and the same endpoint for as long as it is in the list; then another one, at random. */
export class StickPicker implements Picker {
  private current: Endpoint | undefined;

  constructor(
    private readonly endpoints: readonly Endpoint[],
    previous: Picker | undefined,
    private readonly random: () => number,
  ) {
    const kept = previous instanceof StickPicker ? previous.current : undefined;
    this.current = kept !== undefined && endpoints.includes(kept) ? kept : this.draw();
  }

  pick(context: PickContext): Endpoint | undefined {
    const { current } = this;
    if (current === undefined || !wasTried(context, current)) return current;
    // It failed this very call: the next calls go where this one goes now.
    this.current = pickUntried(this.endpoints, context, this.random) ?? current;
    return this.current;
  }

  private draw(): Endpoint | undefined {
    return this.endpoints[Math.floor(this.random() * this.endpoints.length)];
  }
}
