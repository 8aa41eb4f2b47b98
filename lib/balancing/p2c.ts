import type { Endpoint, TrackedEndpoint } from './endpoint.js';
import { pickUntried, wasTried, type PickContext, type Picker } from './picker.js';

/** An endpoint that wasn't picked for this long is picked when it is drawn, however slow it was, in milliseconds. */
const PROBE_AFTER_MS = 3000;

/** What a call to an endpoint that has calls under way but no answer yet is taken to cost, in milliseconds. */
const UNKNOWN_COST_MS = 1000;

/** A choice this many times worse than usual is made once more: both that were drawn may be bad. */
const REDRAW_AT = 2;

/** How much one choice counts in what is usual. */
const USUAL_WEIGHT = 0.05;

/**
 * Power of two choices: of two endpoints drawn at random, the one that promises the faster answer. The promise is the
 * peak-sensitive moving average of its response times, times the calls it has under way, and worse for failures (a
 * broken instance answers fast). When both drawn are much worse than what is chosen usually, two more are drawn. Who was
 * slow is not forgotten for ever: after a while it is tried again.
 */
export class PowerOfTwoPicker implements Picker {
  /** Moving average of the costs of those chosen. */
  private usualCost = 0;

  constructor(
    private readonly endpoints: readonly TrackedEndpoint[],
    private readonly random: () => number,
  ) {}

  pick(context: PickContext, now: number): Endpoint | undefined {
    const { endpoints } = this;
    const { length } = endpoints;
    if (length < 2) return endpoints[0];
    let endpoint = this.choose(length, now);
    if (endpoint !== undefined && wasTried(context, endpoint))
      endpoint = pickUntried(endpoints, context, this.random) ?? endpoint;
    if (endpoint !== undefined) endpoint.pickedAt = now;
    return endpoint;
  }

  private choose(length: number, now: number): TrackedEndpoint | undefined {
    let endpoint = this.draw(length, now);
    if (endpoint === undefined) return undefined;
    let price = cost(endpoint);
    if (price > REDRAW_AT * this.usualCost && this.usualCost > 0 && now - endpoint.pickedAt <= PROBE_AFTER_MS) {
      const other = this.draw(length, now);
      const otherPrice = other === undefined ? Infinity : cost(other);
      if (otherPrice < price) [endpoint, price] = [other, otherPrice];
    }
    this.usualCost += (price - this.usualCost) * USUAL_WEIGHT;
    return endpoint;
  }

  private draw(length: number, now: number): TrackedEndpoint | undefined {
    const { endpoints } = this;
    // Two different ones, by one random number: unique choices balance better than independent ones.
    const drawn = Math.floor(this.random() * length * (length - 1));
    const a = Math.floor(drawn / (length - 1));
    const rest = drawn - a * (length - 1);
    const b = rest < a ? rest : rest + 1;
    const first = endpoints[a];
    const second = endpoints[b];
    if (first === undefined || second === undefined) return first;
    const better = cost(first) <= cost(second) ? first : second;
    const worse = better === first ? second : first;
    return worse.latencyMs > 0 && now - worse.pickedAt > PROBE_AFTER_MS ? worse : better;
  }
}

function cost(endpoint: Endpoint): number {
  const { latencyMs, pending, health } = endpoint;
  if (latencyMs === 0) return pending === 0 ? 0 : UNKNOWN_COST_MS * pending;
  return (latencyMs * (pending + 1)) / Math.max(health * health, 0.01);
}
