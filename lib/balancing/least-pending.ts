import type { Endpoint } from './endpoint.js';
import { pickUntried, wasTried, type PickContext, type Picker } from './picker.js';

/**
 * The endpoint with the fewest calls under way; among equals at random. Endpoints are kept in one bucket for each number
 * of pending calls: a call that begins or ends moves its endpoint to the next bucket, and the fullest choice is never
 * searched for.
 */
export class LeastPendingPicker implements Picker {
  private readonly buckets: Endpoint[][] = [];
  /** In which bucket each endpoint is, and where in it. */
  private readonly places = new Map<Endpoint, { level: number; slot: number }>();
  private lowest = 0;

  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly random: () => number,
  ) {
    for (const endpoint of endpoints)
      this.places.set(endpoint, this.put(endpoint, { level: endpoint.pending, slot: 0 }));
    this.lowest = Math.max(
      0,
      this.buckets.findIndex((bucket) => bucket !== undefined && bucket.length > 0),
    );
  }

  pick(context: PickContext): Endpoint | undefined {
    const bucket = this.buckets[this.lowest];
    const endpoint = bucket?.[Math.floor(this.random() * bucket.length)];
    if (endpoint === undefined || !wasTried(context, endpoint)) return endpoint;
    return pickUntried(this.endpoints, context, this.random) ?? endpoint;
  }

  pendingChanged(endpoint: Endpoint): void {
    const place = this.places.get(endpoint);
    // A call that began with a picker of before, to an endpoint that isn't in this one.
    if (place === undefined) return;
    this.take(place);
    place.level = endpoint.pending;
    this.put(endpoint, place);
    if (endpoint.pending < this.lowest) this.lowest = endpoint.pending;
    // Pending calls change by one, so this steps at most once for each that began.
    while ((this.buckets[this.lowest]?.length ?? 0) === 0 && this.lowest < this.buckets.length) this.lowest += 1;
  }

  private put<P extends { level: number; slot: number }>(endpoint: Endpoint, place: P): P {
    while (this.buckets.length <= place.level) this.buckets.push([]);
    const bucket = this.buckets[place.level] ?? [];
    place.slot = bucket.push(endpoint) - 1;
    return place;
  }

  private take({ level, slot }: { readonly level: number; readonly slot: number }): void {
    const bucket = this.buckets[level];
    const last = bucket?.pop();
    if (bucket === undefined || last === undefined || slot === bucket.length) return;
    // The last one takes the place of the one that leaves.
    bucket[slot] = last;
    const moved = this.places.get(last);
    if (moved !== undefined) moved.slot = slot;
  }
}
