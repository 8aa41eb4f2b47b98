import { Backoff, type Clock } from '../../../backend/index.js';
import { messageOf } from '../../../model/index.js';
import { toEncodable } from '../connection/headers.js';
import type { NatsConnection, NatsRawMessage, NatsSubscription } from '../connection/port.js';
import type { ServiceResponse } from './request.js';

/** An answer that the server may not have got. */
interface Answer {
  readonly reply: string;
  readonly response: ServiceResponse;
}

/** What an outbox needs. */
export interface OutboxOptions {
  readonly connection: NatsConnection;
  readonly clock: Clock;
  readonly inbox: string;
  /** Told what an answer could not be sent for. */
  readonly onError: (error: unknown) => void;
}

/** Answers that are kept while there is no connection; beyond it the oldest are given up. */
const LIMIT = 100_000;

/** Tries to reach a caller that comes back later than we do. */
const TRIES = 12;

/**
 * A server confirms what it has read, and may be killed before it has passed it on; so may the caller's connection be,
 * with answers in it that were never read. Those confirmed this short a time before the loss are sent again too.
 */
const DOUBTED_MS = 1000;

/** What is kept for that is bounded, in answers and in bytes. */
const DOUBTED_ANSWERS = 1024;
const DOUBTED_BYTES = 1024 * 1024;

/** Answers that one round trip confirmed. */
interface Confirmed {
  readonly at: number;
  readonly answers: readonly Answer[];
  readonly bytes: number;
}

/**
 * Sends answers so that a server's restart loses none: an answer is kept until the server has confirmed it, and a
 * little longer, and sent again over the next connection. A caller that gets one twice has forgotten the request by
 * then, and ignores it.
 */
export class Outbox {
  private unconfirmed: Answer[] = [];
  private readonly confirmed: Confirmed[] = [];
  private confirmedAnswers = 0;
  private confirmedBytes = 0;
  private connected = true;
  private confirming = false;
  private readonly closing = new AbortController();
  private readonly resending = new Set<Promise<void>>();
  private onEmpty = (): void => {};
  private stopListening = (): void => {};
  private readonly listening: Promise<void>;

  constructor(private readonly options: OutboxOptions) {
    this.listening = this.listen();
  }

  /** False while the connection is lost: nothing that waits for the server ends then. */
  get isConnected(): boolean {
    return this.connected;
  }

  /** How many answers the server has not confirmed. */
  get size(): number {
    return this.unconfirmed.length;
  }

  /** @throws the library's error for an answer that can't be sent at all, as one that is too long */
  send(reply: string, response: ServiceResponse): void {
    if (this.connected) {
      // Begun before the library's own turn to write, which comes after this one's: see there.
      if (!this.closing.signal.aborted) void this.confirm();
      publish(this.options.connection, reply, response);
    }
    this.unconfirmed.push({ reply, response });
    if (this.unconfirmed.length > LIMIT) this.unconfirmed.shift();
  }

  /** Waits until everything has been confirmed, and ends. */
  async close(signal: AbortSignal): Promise<void> {
    const onAbort = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const emptied = new Promise<void>((resolve) => {
      this.onEmpty = resolve;
    });
    this.checkEmpty();
    // A connection that is closed for good confirms nothing any more.
    if (!this.options.connection.isClosed()) await Promise.race([emptied, onAbort]);
    this.closing.abort();
    this.stopListening();
    await this.listening;
  }

  /** One round trip confirms all that was sent before it. */
  private async confirm(): Promise<void> {
    if (this.confirming) return;
    this.confirming = true;
    do {
      // The library writes the answers of this turn after it: so they go out with the question, in one write.
      await Promise.resolve();
      const sent = this.unconfirmed.length;
      if (!(await this.flushed()) || !this.connected) break;
      this.remember(this.unconfirmed.splice(0, sent));
      this.checkEmpty();
    } while (this.unconfirmed.length > 0 && !this.closing.signal.aborted);
    this.confirming = false;
  }

  private remember(answers: readonly Answer[]): void {
    let bytes = 0;
    for (const { response } of answers) bytes += response.data.length;
    this.confirmed.push({ at: this.options.clock.now(), answers, bytes });
    this.confirmedAnswers += answers.length;
    this.confirmedBytes += bytes;
    while (this.confirmedAnswers > DOUBTED_ANSWERS || this.confirmedBytes > DOUBTED_BYTES) this.forget();
  }

  private forget(): Confirmed | undefined {
    const oldest = this.confirmed.shift();
    this.confirmedAnswers -= oldest?.answers.length ?? 0;
    this.confirmedBytes -= oldest?.bytes ?? 0;
    return oldest;
  }

  /** False when the connection was lost before the server had confirmed. */
  private async flushed(): Promise<boolean> {
    try {
      await this.options.connection.flush();
      return true;
    } catch {
      this.lost();
      return false;
    }
  }

  /** Told of by the library and by a round trip that failed, in either order. */
  private lost(): void {
    if (!this.connected) return;
    this.connected = false;
    const since = this.options.clock.now() - DOUBTED_MS;
    const doubted: Answer[] = [];
    for (let oldest = this.forget(); oldest !== undefined; oldest = this.forget()) {
      if (oldest.at >= since) doubted.push(...oldest.answers);
    }
    this.unconfirmed.unshift(...doubted);
  }

  private async listen(): Promise<void> {
    try {
      const events = this.options.connection.status();
      this.stopListening = () => (events as { stop?: () => void }).stop?.();
      for await (const { type } of events) {
        if (this.closing.signal.aborted) return;
        if (type === 'disconnect') this.lost();
        else if (type === 'reconnect') this.reconnected();
      }
    } catch (error) {
      this.options.onError(error);
    }
  }

  private reconnected(): void {
    this.connected = true;
    const lost = this.unconfirmed.splice(0);
    if (lost.length === 0) return;
    const resending = this.resend(lost).catch((error: unknown) => this.options.onError(error));
    this.resending.add(resending);
    void resending.finally(() => {
      this.resending.delete(resending);
      this.checkEmpty();
    });
  }

  private checkEmpty(): void {
    if (this.unconfirmed.length === 0 && this.resending.size === 0) this.onEmpty();
  }

  /**
   * Sends them with a reply subject of our own: the server then says at once when nobody listens, since the caller may
   * reconnect later than we do.
   */
  private async resend(lost: readonly Answer[]): Promise<void> {
    const { connection, clock, inbox } = this.options;
    const waiting = new Map<string, Answer>(lost.map((answer, index) => [`${inbox}.${index}`, answer]));
    const again = new Set<string>(waiting.keys());
    const backoff = new Backoff({ clock, initialMs: 100, maxMs: 2000 });
    let subscription: NatsSubscription | undefined;
    try {
      subscription = connection.subscribe(`${inbox}.*`, {
        callback: (_error, message: NatsRawMessage) => {
          if (message.headers?.code === 503) again.add(message.subject);
        },
      });
      for (let attempt = 0; attempt < TRIES && again.size > 0 && !this.closing.signal.aborted; attempt += 1) {
        const round = [...again];
        again.clear();
        for (const subject of round) {
          const answer = waiting.get(subject);
          if (answer !== undefined) publish(connection, answer.reply, answer.response, subject);
        }
        // After the server's confirmation its "nobody listens" has come too.
        if (!(await this.flushed())) {
          this.unconfirmed.push(...waiting.values());
          return;
        }
        if (again.size > 0 && !(await backoff.wait(this.closing.signal))) return;
      }
    } catch (error) {
      if (this.closing.signal.aborted) return;
      this.options.onError(new Error(`answers could not be sent again: ${messageOf(error)}`));
    } finally {
      if (subscription !== undefined && !subscription.isClosed()) subscription.unsubscribe();
    }
  }
}

function publish(connection: NatsConnection, reply: string, response: ServiceResponse, from?: string): void {
  const headers = toEncodable(response.headers);
  connection.publish(reply, response.data, {
    ...(headers === undefined ? {} : { headers }),
    ...(from === undefined ? {} : { reply: from }),
  });
}
