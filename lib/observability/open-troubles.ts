import type { Clock } from '../backend/index.js';

/** Troubles that are remembered: what they are about is named by others. */
const MAX_TROUBLES = 1000;

/** Reasons of one trouble that are told: two servers that fail in turn are two, a reason that counts up is endless. */
const MAX_REASONS = 5;

/** What nobody told of for this long is over, though nobody said so: nobody watches it any more. In milliseconds. */
const FORGET_MS = 600_000;

/** What goes wrong at present, and which reasons were told for it. */
export class OpenTroubles {
  private readonly open = new Map<string, { readonly reasons: Set<string>; toldAt: number }>();
  private isFull = false;

  constructor(private readonly clock: Clock) {}

  /** Takes a failure down: whether it is `news`, was `told`, or is the first of `too-many`, after which nothing is news. */
  begin(what: string, reason: string): 'news' | 'told' | 'too-many' {
    const now = this.clock.now();
    let trouble = this.open.get(what);
    if (trouble === undefined) {
      if (this.open.size >= MAX_TROUBLES) this.forgetBefore(now - FORGET_MS);
      if (this.open.size >= MAX_TROUBLES) {
        if (this.isFull) return 'told';
        this.isFull = true;
        return 'too-many';
      }
      this.open.set(what, (trouble = { reasons: new Set(), toldAt: now }));
    }
    trouble.toldAt = now;
    if (trouble.reasons.has(reason) || trouble.reasons.size >= MAX_REASONS) return 'told';
    trouble.reasons.add(reason);
    return 'news';
  }

  /** It is over; whether it was open. */
  end(what: string): boolean {
    const wasOpen = this.open.delete(what);
    if (wasOpen && this.open.size < MAX_TROUBLES / 2) this.isFull = false;
    return wasOpen;
  }

  private forgetBefore(time: number): void {
    for (const [what, { toldAt }] of this.open) if (toldAt < time) this.open.delete(what);
    if (this.open.size < MAX_TROUBLES / 2) this.isFull = false;
  }
}
