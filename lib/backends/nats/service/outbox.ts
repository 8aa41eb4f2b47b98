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
 * Sends answers so that a server's restart loses none: an answer is kept until the server has confirmed it, and sent
 * again over the next connection. A caller that gets one twice has forgotten the request by then, and ignores it.
 */
export class Outbox {
  private unconfirmed: Answer[] = [];
  private connected = true;
  private flushing: Promise<void> | undefined;
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
    if (this.connected) publish(this.options.connection, reply, response);
    this.unconfirmed.push({ reply, response });
    if (this.unconfirmed.length > LIMIT) this.unconfirmed.shift();
    if (this.connected) this.confirm();
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
    await Promise.race([emptied, onAbort]);
    this.closing.abort();
    this.stopListening();
    await this.listening;
  }

  /** One round trip confirms all that was sent before it. */
  private confirm(): void {
    if (this.flushing !== undefined || this.unconfirmed.length === 0 || this.closing.signal.aborted) return;
    const sent = this.unconfirmed.length;
    this.flushing = this.options.connection.flush().then(
      () => {
        this.flushing = undefined;
        if (!this.connected) return;
        this.unconfirmed.splice(0, sent);
        this.checkEmpty();
        this.confirm();
      },
      () => {
        this.flushing = undefined;
        this.connected = false;
      },
    );
  }

  private async listen(): Promise<void> {
    try {
      const events = this.options.connection.status();
      this.stopListening = () => (events as { stop?: () => void }).stop?.();
      for await (const { type } of events) {
        if (this.closing.signal.aborted) return;
        if (type === 'disconnect') this.connected = false;
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
        await connection.flush();
        if (again.size > 0 && !(await backoff.wait(this.closing.signal))) return;
      }
    } catch (error) {
      if (this.closing.signal.aborted) return;
      if (!this.connected) this.unconfirmed.push(...[...waiting].map(([, answer]) => answer));
      else this.options.onError(new Error(`answers could not be sent again: ${messageOf(error)}`));
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
