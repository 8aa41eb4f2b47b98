import type { Clock, DiscoveryReport, Timer } from '../backend/index.js';

/** Options of an {@link EmptyProtection}. */
export interface EmptyProtectionOptions<R> {
  readonly clock: Clock;
  /** How long an empty list is held at least, in milliseconds. */
  readonly holdMs: number;
  /** How often the registry is asked meanwhile, in milliseconds. @default once, at the end */
  readonly askEveryMs?: number;
  /** Asks the registry independently; its answer comes through {@link EmptyProtection.receive}. */
  readonly confirm: () => Promise<void>;
  /** Takes the reports that are believed. */
  readonly deliver: (report: R) => void;
}

/**
 * Doubts an empty list that follows a list that wasn't: registries send one when they restart, lose a partition or are
 * asked with a token that may not read. It is held for a while, in which the registry is asked again and again, and
 * believed only when an independent read still confirms it after that. A registry that can't be asked confirms nothing.
 */
export class EmptyProtection<R extends { readonly instances?: readonly unknown[] | undefined } = DiscoveryReport> {
  private hadInstances = false;
  /** The question that is under way, and the answer it got; another object for each question. */
  private question: { answer?: R } | undefined;
  private timer: Timer | undefined;
  /** When the list that is held may be believed. */
  private believedAt: number | undefined;
  private closed = false;

  constructor(private readonly options: EmptyProtectionOptions<R>) {}

  /** Takes a report of the driver. */
  receive(report: R): void {
    if (this.closed) return;
    const suspicious = report.instances?.length === 0 && this.hadInstances;
    if (suspicious) {
      if (this.question === undefined) this.hold();
      else this.question.answer = report;
      return;
    }
    if (report.instances !== undefined) {
      this.release();
      this.hadInstances = report.instances.length > 0;
    }
    this.options.deliver(report);
  }

  /** Forgets what is held. */
  close(): void {
    this.closed = true;
    this.release();
  }

  private hold(): void {
    const { clock, holdMs, askEveryMs = holdMs } = this.options;
    this.believedAt ??= clock.now() + holdMs;
    // After it, only the question that nobody answered is left to be repeated.
    const left = this.believedAt - clock.now();
    const waitMs = Math.min(askEveryMs, left > 0 ? left : askEveryMs);
    this.timer ??= clock.setTimer(() => void this.ask(), waitMs, { background: true });
  }

  private async ask(): Promise<void> {
    this.timer = undefined;
    const question: { answer?: R } = {};
    this.question = question;
    try {
      await this.options.confirm();
    } catch {
      // Reported by the watch; it confirms nothing.
    }
    // A list that wasn't empty came meanwhile, and has released everything.
    if (this.question !== question) return;
    this.question = undefined;
    const { clock } = this.options;
    if (question.answer === undefined || clock.now() < (this.believedAt ?? 0)) return this.hold();
    this.believedAt = undefined;
    this.hadInstances = false;
    this.options.deliver(question.answer);
  }

  private release(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.question = undefined;
    this.believedAt = undefined;
  }
}
