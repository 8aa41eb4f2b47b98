import type { InstancePick } from '../../balancing/index.js';
import type { AttemptReason } from '../../observability/index.js';
import type { HedgingOptions } from '../call-options.js';
import type { DispatchListener } from './dispatch-port.js';
import type { DispatchedCall, LineOfCall } from './dispatched-call.js';
import { PassingListener } from './passing-listener.js';

/** What a hedged request needs of who sends it. */
export interface HedgedSource {
  readonly hedging: HedgingOptions;
  /** Sends one line of it. */
  send(pick: InstancePick, listener: DispatchListener, line: LineOfCall): DispatchedCall;
  /** An instance that wasn't tried, when there is one and another may be asked. */
  next(tried: ReadonlySet<string>): InstancePick | undefined;
}

/**
 * One request that is sent to further instances while no answer has begun. The first answer that begins is the caller's; what
 * else is under way is given up. It is what `tryHedged` is to calls whose answer comes as one.
 */
export class HedgedDispatch {
  private readonly tried = new Set<string>();
  private readonly lines = new Map<Line, DispatchedCall>();
  private timer: NodeJS.Timeout | undefined;
  private hedges = 0;
  private isConnected = false;
  private winner: Line | undefined;
  private isOver = false;

  constructor(
    private readonly source: HedgedSource,
    private readonly listener: DispatchListener,
  ) {}

  start(pick: InstancePick, reason: AttemptReason = 'first'): void {
    const line = new Line(this, this.listener);
    const { maxHedges = 1, delayMs } = this.source.hedging;
    if (this.hedges < maxHedges) this.timer = setTimeout(() => this.hedge(), delayMs);
    const shared = { reason, tried: this.tried, isAlone: () => this.lines.size === 1 };
    const call = this.source.send(pick, line, shared);
    this.lines.set(line, call);
    call.send();
  }

  /** A line's request goes out: from now on the caller may end them all. */
  connected(): void {
    if (this.isConnected) return;
    this.isConnected = true;
    this.listener.onConnect((reason) => {
      for (const call of this.lines.values()) call.abort(reason);
    });
  }

  /** An answer has begun. @returns whether it is the caller's */
  answers(line: Line): boolean {
    if (this.winner === undefined && !this.isOver) {
      this.winner = line;
      this.over();
      for (const [other, call] of this.lines) if (other !== line) call.overtake();
    }
    return this.winner === line;
  }

  /** A line has failed, which counts when no other may still succeed. */
  failed(line: Line, error: Error): void {
    this.lines.delete(line);
    if (this.winner === line || (this.winner === undefined && this.lines.size === 0 && !this.isOver)) {
      this.over();
      this.listener.onError(error);
    }
  }

  private hedge(): void {
    this.hedges += 1;
    const next = this.source.next(this.tried);
    if (next !== undefined) this.start(next, 'hedge');
  }

  private over(): void {
    this.isOver = true;
    clearTimeout(this.timer);
  }
}

/** Hears of one line, and passes the answer on that is the caller's. */
class Line extends PassingListener {
  constructor(
    private readonly hedged: HedgedDispatch,
    listener: DispatchListener,
  ) {
    super(listener);
  }

  override onConnect(): void {
    this.hedged.connected();
  }

  override onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    // What is said before an answer is that of no line yet.
    if (status < 200) return true;
    return !this.hedged.answers(this) || super.onHeaders(status, headers, resume, statusText);
  }

  override onError(error: Error): void {
    this.hedged.failed(this, error);
  }
}
