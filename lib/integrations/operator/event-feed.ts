import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../backend/index.js';
import { eventText, type OperatorEventText } from './event-text.js';
import type { DiscoveryEvent } from '../../model/index.js';

/** An event as it is told: with its number and its time. */
export interface OperatorEvent extends OperatorEventText {
  /** One more than that of the event before; what is missing was dropped. */
  readonly id: number;
  /** In milliseconds since the epoch. */
  readonly at: number;
}

/** How many events are kept for those who come later. */
const KEPT = 300;

/**
 * Events of one kind that are told in a second; what comes beyond them is dropped, and counted. What happens to instances and calls
 * is one kind, since there may be very many of them, and all else the other: nobody can drown an outage.
 */
const PER_SECOND = 50;

/** Types of which there may be as many as there are instances. */
const OF_INSTANCES: ReadonlySet<string> = new Set([
  'instances.changed',
  'instances.failed',
  'instances.recovered',
  'instance.ejected',
  'instance.returned',
  'record.skipped',
  'listener.failed',
  'calls',
]);

/** What may wait for one browser that doesn't read, in bytes; what comes beyond it is dropped for it, and counted. */
const MAX_WAITING = 128 * 1024;

/** How often a stream gives a sign of life, in milliseconds, and finds out that nobody reads it. */
const HEARTBEAT_MS = 15_000;

const SIGN_OF_LIFE = Buffer.from(': \n\n');
const RETRY = Buffer.from('retry: 2000\n\n');

/**
 * The newest events, and the streams of those who watch. Whatever happens, it holds a bounded number of events and of bytes: what
 * is too much is dropped, and everybody is told how much that was.
 */
export class EventFeed {
  private readonly kept: KeptEvent[] = [];
  private readonly streams = new Set<Stream>();
  private nextId = 1;
  private readonly ofInstances = new Budget();
  private readonly ofAllElse = new Budget();
  private unheard = 0;
  private droppedCount = 0;
  private heartbeat: Timer | undefined;
  private telling: Timer | undefined;
  private closed = false;

  /**
   * @param maxStreams streams that may be open at once
   * @param onWatched told when the first stream opens, and when the last one is closed
   */
  constructor(
    private readonly clock: Clock,
    private readonly maxStreams: number,
    private readonly onWatched: (watched: boolean) => void = () => {},
  ) {}

  /** The newest events, the newest last. */
  get recent(): readonly OperatorEvent[] {
    return this.kept.map(({ event }) => event);
  }

  /** How many streams are open. */
  get open(): number {
    return this.streams.size;
  }

  /** How many events were dropped since the app started, because there were too many at once. */
  get dropped(): number {
    return this.droppedCount;
  }

  /** Takes an event of the app. */
  readonly take = (event: DiscoveryEvent): void => {
    if (!this.isTooMuch(event.type)) this.add(eventText(event));
  };

  /** Takes a line of another kind. */
  tell(text: OperatorEventText): void {
    if (!this.isTooMuch(text.type)) this.add(text);
  }

  /**
   * Sends everything from now on to a response that was begun, until it is closed.
   *
   * @param after number of the last event that its reader knows; later ones that are kept are sent at once
   * @returns false when there are too many streams, or the app is shutting down
   */
  attach(begin: () => ServerResponse, after: number): boolean {
    if (this.closed || this.streams.size >= this.maxStreams) return false;
    const response = begin();
    const stream = new Stream(response);
    this.streams.add(stream);
    if (this.streams.size === 1) this.onWatched(true);
    response.once('close', () => this.detach(stream));
    // Whoever goes while something is written to it is no error of anybody's.
    response.on('error', () => {});
    stream.write(RETRY);
    for (const kept of this.kept) if (kept.event.id > after) stream.write(kept.sent);
    this.beat();
    return true;
  }

  /** Ends all streams, and opens none any more. */
  close(): void {
    this.closed = true;
    this.heartbeat?.cancel();
    this.heartbeat = undefined;
    this.telling?.cancel();
    this.telling = undefined;
    for (const stream of this.streams) stream.end();
  }

  private detach(stream: Stream): void {
    this.streams.delete(stream);
    if (this.streams.size > 0) return;
    this.heartbeat?.cancel();
    this.heartbeat = undefined;
    this.onWatched(false);
  }

  private beat(): void {
    this.heartbeat ??= this.clock.setTimer(
      () => {
        this.heartbeat = undefined;
        for (const stream of this.streams) stream.write(SIGN_OF_LIFE);
        this.beat();
      },
      HEARTBEAT_MS,
      { background: true },
    );
  }

  private add(text: OperatorEventText): void {
    const kept = new KeptEvent({ id: this.nextId, at: this.clock.now(), ...text });
    this.nextId += 1;
    this.kept.push(kept);
    if (this.kept.length > KEPT) this.kept.shift();
    for (const stream of this.streams) stream.write(kept.sent);
  }

  /** Counts an event, and drops it when it is one too many of its second. */
  private isTooMuch(type: string): boolean {
    const budget = OF_INSTANCES.has(type) ? this.ofInstances : this.ofAllElse;
    if (budget.take(this.clock.now())) return false;
    this.nextId += 1;
    this.unheard += 1;
    this.droppedCount += 1;
    if (!this.closed) this.telling ??= this.clock.setTimer(() => this.tellDropped(), 1000, { background: true });
    return true;
  }

  private tellDropped(): void {
    this.telling = undefined;
    const text = `${this.unheard} more events were too many to show`;
    this.unheard = 0;
    this.add({ type: 'dropped', level: 'warn', text });
  }
}

/** So many in a second. */
class Budget {
  private secondAt = 0;
  private used = 0;

  take(now: number): boolean {
    if (now - this.secondAt >= 1000 || now < this.secondAt) {
      this.secondAt = now;
      this.used = 0;
    }
    this.used += 1;
    return this.used <= PER_SECOND;
  }
}

/** An event, and what is sent of it: the same bytes to all browsers, made when the first of them is there. */
class KeptEvent {
  private bytes: Buffer | undefined;

  constructor(readonly event: OperatorEvent) {}

  get sent(): Buffer {
    // JSON has no line ends of its own, which would end the field.
    this.bytes ??= Buffer.from(`id: ${this.event.id}\ndata: ${JSON.stringify(this.event)}\n\n`);
    return this.bytes;
  }
}

/** The stream of one browser. */
class Stream {
  private dropped = 0;

  constructor(private readonly response: ServerResponse) {}

  write(bytes: Buffer): void {
    const { response } = this;
    if (response.writableEnded || response.destroyed) return;
    if (response.writableLength > MAX_WAITING) {
      this.dropped += 1;
      return;
    }
    if (this.dropped > 0) {
      response.write(`event: dropped\ndata: ${this.dropped}\n\n`);
      this.dropped = 0;
    }
    response.write(bytes);
  }

  end(): void {
    this.response.end();
  }
}
