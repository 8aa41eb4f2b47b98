import type { Endpoint } from './endpoint.js';
import { pickUntried, wasTried, type PickContext, type Picker } from './picker.js';

/** An endpoint that wasn't picked for this long is picked when it is drawn, however slow it was, in milliseconds. */
const PROBE_AFTER_MS = 3000;

/** What a call to an endpoint that has calls under way but no answer yet is taken to cost, in milliseconds. */
const UNKNOWN_COST_MS = 1000;

/**
 * Power of two choices: of two endpoints drawn at random, the one that promises the faster answer. The promise is the
 * peak-sensitive moving average of its response times, times the calls it has under way, and worse for failures (a
 * broken instance answers fast). Who was slow is not forgotten for ever: after a while it is tried again.
 */
export class PowerOfTwoPicker implements Picker {
  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly random: () => number,
  ) {}

  pick(context: PickContext, now: number): Endpoint | undefined {
    const { endpoints } = this;
    const { length } = endpoints;
    if (length < 2) return endpoints[0];
    let endpoint = this.draw(length, now);
    if (endpoint !== undefined && wasTried(context, endpoint))
      endpoint = pickUntried(endpoints, context, this.random) ?? endpoint;
    if (endpoint !== undefined) endpoint.pickedAt = now;
    return endpoint;
  }

  private draw(length: number, now: number): Endpoint | undefined {
    const { endpoints } = this;
    const a = Math.floor(this.random() * length);
    // Two different ones: unique choices balance better than independent ones.
    const b = (a + 1 + Math.floor(this.random() * (length - 1))) % length;
    const first = endpoints[a];
    const second = endpoints[b];
    if (first === undefined || second === undefined) return first;
    const better = cost(first) <= cost(second) ? first : second;
    const worse = better === first ? second : first;
    return now - worse.pickedAt > PROBE_AFTER_MS && worse.latencyMs > 0 ? worse : better;
  }
}

function cost(endpoint: Endpoint): number {
  const { latencyMs, pending, health } = endpoint;
  if (latencyMs === 0) return pending === 0 ? 0 : UNKNOWN_COST_MS * pending;
  return (latencyMs * (pending + 1)) / Math.max(health * health, 0.01);
}
