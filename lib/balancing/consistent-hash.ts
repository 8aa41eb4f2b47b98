import type { Endpoint } from './endpoint.js';
import { pickUntried, wasTried, type PickContext, type Picker } from './picker.js';

/**
 * Table sizes, which must be prime; the first that is a hundred times the number of endpoints is taken. They are few,
 * because nearly every key moves when the size changes.
 */
const SIZES = [65537, 1048583] as const;

/**
 * Maglev's table: calls with one key go to one endpoint, and when the list changes few keys move. A pick is one hash and
 * one look-up. A call without a key goes anywhere.
 *
 * @see Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4
 */
export class ConsistentHashPicker implements Picker {
  private readonly endpoints: readonly Endpoint[];
  private readonly table: Int32Array;

  constructor(
    endpoints: readonly Endpoint[],
    private readonly random: () => number,
  ) {
    // In an order of their own: every client must send a key to the same instance, whatever its registry listed first.
    this.endpoints = endpoints.toSorted((a, b) => (a.instance.url < b.instance.url ? -1 : 1));
    this.table = maglevTable(this.endpoints.map(({ instance }) => instance.url));
  }

  pick(context: PickContext): Endpoint | undefined {
    const { endpoints, table } = this;
    const { key } = context;
    const endpoint =
      key === undefined
        ? endpoints[Math.floor(this.random() * endpoints.length)]
        : endpoints[table[hash(key) % table.length] ?? 0];
    if (endpoint === undefined || !wasTried(context, endpoint)) return endpoint;
    return pickUntried(endpoints, context, this.random) ?? endpoint;
  }
}

/** Keys remembered at most; the one that wasn't used for the longest time is forgotten first. */
const MAX_KEYS = 10_000;

/**
 * A key stays with its endpoint for as long as that is in the list, also when others come; a key that is new, or whose
 * endpoint has gone, goes where the consistent hash says.
 */
export class StickyPicker implements Picker {
  private readonly hashed: ConsistentHashPicker;
  private readonly members: ReadonlySet<Endpoint>;
  private readonly assigned: Map<string, Endpoint>;

  constructor(endpoints: readonly Endpoint[], previous: Picker | undefined, random: () => number) {
    this.hashed = new ConsistentHashPicker(endpoints, random);
    this.members = new Set(endpoints);
    this.assigned = previous instanceof StickyPicker ? previous.assigned : new Map();
  }

  pick(context: PickContext): Endpoint | undefined {
    const { key } = context;
    if (key === undefined) return this.hashed.pick(context);
    const known = this.assigned.get(key);
    const endpoint =
      known !== undefined && this.members.has(known) && !wasTried(context, known) ? known : this.hashed.pick(context);
    if (endpoint === undefined) return undefined;
    // Put at the end again: the first of the map is the one that wasn't used for the longest time.
    this.assigned.delete(key);
    this.assigned.set(key, endpoint);
    if (this.assigned.size > MAX_KEYS) {
      for (const oldest of this.assigned.keys()) {
        this.assigned.delete(oldest);
        break;
      }
    }
    return endpoint;
  }
}

/** FNV-1a with a final mix, over UTF-16 units: fast, and even enough for tables. Not for secrets. */
export function hash(text: string, seed = 0x811c9dc5): number {
  let value = seed >>> 0;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  value ^= value >>> 16;
  value = Math.imul(value, 0x85ebca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

function maglevTable(names: readonly string[]): Int32Array {
  const size = SIZES.find((prime) => prime >= names.length * 100) ?? SIZES[SIZES.length - 1] ?? 1048583;
  const table = new Int32Array(size).fill(-1);
  if (names.length === 0) return table;
  const offsets = names.map((name) => hash(name) % size);
  const skips = names.map((name) => (hash(name, 0x9747b28c) % (size - 1)) + 1);
  const next = new Float64Array(names.length);
  for (let filled = 0; ;) {
    for (let index = 0; index < names.length; index += 1) {
      let place: number;
      do {
        place = ((offsets[index] ?? 0) + (next[index] ?? 0) * (skips[index] ?? 1)) % size;
        next[index] = (next[index] ?? 0) + 1;
      } while (table[place] !== -1);
      table[place] = index;
      filled += 1;
      if (filled === size) return table;
    }
  }
}
