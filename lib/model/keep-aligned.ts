/** How the members of two lists are compared. */
export interface Comparison<T> {
  /** True when the two say the same. */
  same(a: T, b: T): boolean;
  /** True when the two are about the same thing, whatever they say of it. */
  sameKey(a: T, b: T): boolean;
  /** What `sameKey` compares, as one text. */
  keyOf(value: T): string;
}

/** Where two lists begin to differ, and where they are alike again. */
export interface Difference {
  /** How many members both begin with. */
  readonly start: number;
  /** How many members both end with, besides. */
  readonly end: number;
}

/** How many members two lists begin and end with, alike. */
export function differenceOf<T>(before: readonly T[], after: readonly T[], alike: (a: T, b: T) => boolean): Difference {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && alike(before[start] as T, after[start] as T)) start += 1;
  let end = 0;
  while (end < most - start && alike(before[before.length - 1 - end] as T, after[after.length - 1 - end] as T)) {
    end += 1;
  }
  return { start, end };
}

/**
 * `next`, with every unchanged member replaced by the object that `previous` held for it; `previous` itself when nothing changed. Two lists of one service mostly differ
 * by a member that changed, came or went: before and behind it they are walked side by side, and only what lies between is looked up.
 */
export function keepAligned<T>(previous: readonly T[], next: readonly T[], comparison: Comparison<T>): readonly T[] {
  const { same, sameKey, keyOf } = comparison;
  const { start, end } = differenceOf(previous, next, sameKey);
  const moved = next.length - previous.length;
  let between: Map<string, T> | undefined;
  const kept = next.map((value, place) => {
    let before: T | undefined;
    if (place < start) before = previous[place];
    else if (place >= next.length - end) before = previous[place - moved];
    else {
      between ??= new Map(previous.slice(start, previous.length - end).map((member) => [keyOf(member), member]));
      before = between.get(keyOf(value));
    }
    return before !== undefined && same(before, value) ? before : value;
  });
  const isSame = moved === 0 && kept.every((value, place) => value === previous[place]);
  return isSame ? previous : Object.freeze(kept);
}
