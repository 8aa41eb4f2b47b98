/** What names beyond the limit are called. */
export const OTHER = 'other';

/**
 * Names as values of a metric's label, of which there must not be too many: the first `limit` are kept, all others become
 * {@link OTHER}. Half of the room is for names that have proved to mean something, so that whoever makes up names can't
 * take it away from them.
 */
export class BoundedNames {
  private readonly kept = new Set<string>();
  private unproved = 0;

  constructor(private readonly limit: number) {}

  /** Whether a name is kept, or may be from now on. */
  has(name: string, proved: boolean): boolean {
    if (this.kept.has(name)) return true;
    if (this.kept.size >= this.limit) return false;
    if (!proved) {
      if (this.unproved >= this.limit / 2) return false;
      this.unproved += 1;
    }
    this.kept.add(name);
    return true;
  }

  /** The name, or what stands for it. */
  labelOf(name: string, proved = true): string {
    return this.has(name, proved) ? name : OTHER;
  }
}
