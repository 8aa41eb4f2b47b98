import type { Clock } from '../backend/index.js';

/** Troubles that are remembered: what they are about is named by others. */
const MAX_TROUBLES = 1000;

/** Reasons of one trouble that are told: two servers that fail in turn are two, a reason that counts up is endless. */
const MAX_REASONS = 5;

/** What nobody told of for this long is over, though nobody said so: nobody watches it any more. In milliseconds. */
const FORGET_MS = 600_000;

interface Trouble {
  readonly since: number;
  readonly reasons: Set<string>;
  toldAt: number;
  /** Another trouble explained it: nothing was told of it. */
  silent: boolean;
}

/** A trouble that is over. */
export interface PastTrouble {
  readonly lastedMs: number;
  /** Whether it had been told. */
  readonly told: boolean;
}

/** What goes wrong at present, and which reasons were told for it. */
export class OpenTroubles {
  private readonly open = new Map<string, Trouble>();
  private isFull = false;

  constructor(private readonly clock: Clock) {}

  /** Takes a failure down: whether it is `news`, was `told`, or is the first of `too-many`, after which nothing is news. */
  begin(what: string, reason: string): 'news' | 'told' | 'too-many' {
    const trouble = this.take(what);
    if (typeof trouble === 'string') return trouble;
    if (trouble.reasons.has(reason) || trouble.reasons.size >= MAX_REASONS) return 'told';
    trouble.reasons.add(reason);
    trouble.silent = false;
    return 'news';
  }

  /** Takes down a failure that needs no word of its own. */
  beginSilently(what: string): void {
    this.take(what);
  }

  /** Whether it goes wrong at present, for this reason. */
  isOpen(what: string, reason: string): boolean {
    return this.open.get(what)?.reasons.has(reason) === true;
  }

  /** It is over; how it was, if it was open. */
  end(what: string): PastTrouble | undefined {
    const trouble = this.open.get(what);
    if (trouble === undefined) return undefined;
    this.open.delete(what);
    if (this.open.size < MAX_TROUBLES / 2) this.isFull = false;
    return { lastedMs: this.clock.now() - trouble.since, told: !trouble.silent };
  }

  private take(what: string): Trouble | 'told' | 'too-many' {
    const now = this.clock.now();
    let trouble = this.open.get(what);
    if (trouble === undefined) {
      if (this.open.size >= MAX_TROUBLES) this.forgetBefore(now - FORGET_MS);
      if (this.open.size >= MAX_TROUBLES) {
        if (this.isFull) return 'told';
        this.isFull = true;
        return 'too-many';
      }
      this.open.set(what, (trouble = { since: now, reasons: new Set(), toldAt: now, silent: true }));
    }
    trouble.toldAt = now;
    return trouble;
  }

  private forgetBefore(time: number): void {
    for (const [what, { toldAt }] of this.open) if (toldAt < time) this.open.delete(what);
    if (this.open.size < MAX_TROUBLES / 2) this.isFull = false;
  }
}
