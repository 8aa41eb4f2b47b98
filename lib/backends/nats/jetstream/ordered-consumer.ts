import { randomUUID } from 'node:crypto';
import { PeriodicTask } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { firstOf, headersOf } from '../connection/headers.js';
import type { NatsRawMessage } from '../connection/port.js';
import { isObject } from './api.js';
import type { KeyValueBucket, KeyValueStatus } from './key-value.js';
import { readEntry, type KeyValueEntry } from './key-value.codec.js';

/** Where a consumer begins. */
export type ConsumerStart = 'last' | 'all' | 'new' | { readonly afterRevision: number };

/** What a consumer is to deliver, and to whom. */
export interface OrderedConsumerOptions {
  readonly bucket: KeyValueBucket;
  readonly status: KeyValueStatus;
  /** Patterns of keys. Several need a server of 2.10 or newer. */
  readonly filters: readonly string[];
  readonly start: ConsumerStart;
  readonly headersOnly: boolean;
  readonly heartbeatMs: number;
  readonly random: () => number;
  /** Takes what was there at the start, once and complete, with the bucket's order. */
  readonly onInitial: (entries: readonly KeyValueEntry[]) => void;
  /** Takes every entry after that. */
  readonly onEntry: (entry: KeyValueEntry) => void;
}

/** The server forgets a consumer that nobody listens to after this time, in nanoseconds. */
const INACTIVE_NS = 10e9;

/**
 * One ordered push consumer: everything in order and without gaps, or an error. Whoever uses it makes a new one then.
 *
 * Resolves when `signal` aborts and rejects with what went wrong; the subscription and the server's consumer are gone
 * when it settles, as far as the server can be reached.
 */
export async function consume(options: OrderedConsumerOptions, signal: AbortSignal): Promise<void> {
  const consumer = new OrderedConsumer(options);
  try {
    await consumer.run(signal);
  } finally {
    await consumer.release();
  }
}

class OrderedConsumer {
  private readonly name = `nsd${randomUUID().replaceAll('-', '')}`;
  private readonly inbox: string;
  private readonly initial: KeyValueEntry[] = [];
  private caughtUp = false;
  private lastConsumerSequence = 0;
  private heardAt: number;
  private created = false;
  private answered = false;
  private readonly failed: Promise<never>;
  private fail: (error: DiscoveryError) => void = () => {};
  private unsubscribe = (): void => {};
  private readonly watchdog: PeriodicTask;

  constructor(private readonly options: OrderedConsumerOptions) {
    const { clock, api } = options.bucket;
    this.inbox = api.session.inbox();
    this.heardAt = clock.now();
    this.failed = new Promise<never>((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => {});
    this.watchdog = new PeriodicTask({
      clock,
      what: `listening for the heartbeats of ${this.name}`,
      intervalMs: () => options.heartbeatMs,
      random: options.random,
      run: () => this.checkHeartbeat(),
      onError: () => {},
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { bucket } = this.options;
    const { session } = bucket.api;
    signal.throwIfAborted();
    const subscription = session.subscribe(this.inbox, (error, message) => this.receive(error, message));
    this.unsubscribe = () => {
      if (!subscription.isClosed()) subscription.unsubscribe();
    };
    const leaveState = session.state.subscribe((state) => {
      if (state.phase === 'connected') return;
      this.fail(state.error ?? this.lost('the connection was lost'));
    });
    try {
      // From here on it may exist, whatever the request ends with.
      this.created = true;
      const answer = await bucket.api.request(this.createSubject(), this.createBody(), signal);
      const pending = answer['num_pending'];
      const delivered = isObject(answer['delivered']) ? answer['delivered']['consumer_seq'] : 0;
      this.answered = true;
      if (pending === 0 && delivered === 0) this.complete();
      this.watchdog.start('after-interval');
      await Promise.race([this.failed, aborted(signal)]);
    } finally {
      leaveState();
    }
  }

  async release(): Promise<void> {
    this.unsubscribe();
    await this.watchdog.stop();
    const { bucket } = this.options;
    const { session } = bucket.api;
    if (!this.created || session.state.current.phase !== 'connected') return;
    // What can't be removed now is removed by the server when it finds that nobody listens.
    await bucket.api.request(`CONSUMER.DELETE.KV_${bucket.bucket}.${this.name}`).catch(() => {});
  }

  private receive(error: Error | null, message: NatsRawMessage): void {
    if (error !== null) return this.fail(this.lost(error.message, error));
    const { bucket } = this.options;
    this.heardAt = bucket.clock.now();
    const status = message.headers?.code ?? 0;
    if (status !== 0) return this.receiveStatus(status, message);
    const read = readEntry(bucket.bucket, message);
    if (read === undefined) return;
    const { entry, delivery } = read;
    if (delivery.consumerSequence !== this.lastConsumerSequence + 1)
      return this.fail(this.lost('messages were missed'));
    this.lastConsumerSequence = delivery.consumerSequence;
    if (this.caughtUp) return this.options.onEntry(entry);
    this.initial.push(entry);
    if (delivery.pending === 0) this.complete();
  }

  private receiveStatus(status: number, message: NatsRawMessage): void {
    if (status !== 100) {
      return this.fail(this.lost(`the server ended it: ${status} ${message.headers?.description ?? ''}`));
    }
    const headers = headersOf(message.headers);
    // Flow control: the server waits for an answer before it sends on.
    const waiting = message.reply ?? firstOf(headers, 'Nats-Consumer-Stalled');
    if (waiting !== undefined && waiting !== '') {
      try {
        this.options.bucket.api.session.publish(waiting, undefined);
      } catch {
        // Not connected any more: the state says so.
      }
    }
    const last = Number(firstOf(headers, 'Nats-Last-Consumer') ?? Number.NaN);
    if (last > this.lastConsumerSequence) this.fail(this.lost('messages were missed'));
    // Idle: what was counted as pending but was replaced meanwhile never comes.
    else if (last === this.lastConsumerSequence && this.answered) this.complete();
  }

  private complete(): void {
    if (this.caughtUp) return;
    this.caughtUp = true;
    this.options.onInitial(this.initial.splice(0));
  }

  private checkHeartbeat(): Promise<void> {
    const { bucket, heartbeatMs } = this.options;
    if (bucket.clock.now() - this.heardAt > heartbeatMs * 2.5) this.fail(this.lost('the server went silent'));
    return Promise.resolve();
  }

  private createSubject(): string {
    const { bucket, filters } = this.options;
    const base = `CONSUMER.CREATE.KV_${bucket.bucket}.${this.name}`;
    // With one filter it stands in the subject too, so that rights can be given for it.
    return filters.length === 1 ? `${base}.$KV.${bucket.bucket}.${filters[0]}` : base;
  }

  private createBody(): object {
    const { bucket, filters, start, headersOnly, heartbeatMs } = this.options;
    const subjects = filters.map((filter) => `$KV.${bucket.bucket}.${filter}`);
    return {
      stream_name: `KV_${bucket.bucket}`,
      action: 'create',
      config: {
        name: this.name,
        deliver_subject: this.inbox,
        ...(subjects.length === 1 ? { filter_subject: subjects[0] } : { filter_subjects: subjects }),
        ...startConfig(start),
        ack_policy: 'none',
        max_deliver: 1,
        replay_policy: 'instant',
        flow_control: true,
        idle_heartbeat: Math.round(heartbeatMs * 1e6),
        inactive_threshold: INACTIVE_NS,
        mem_storage: true,
        num_replicas: 1,
        ...(headersOnly ? { headers_only: true } : {}),
      },
    };
  }

  private lost(why: string, cause?: unknown): DiscoveryError {
    return new DiscoveryError('BACKEND_UNAVAILABLE', `the watch of ${this.options.bucket.bucket} broke off: ${why}`, {
      cause,
    });
  }
}

function startConfig(start: ConsumerStart): object {
  switch (start) {
    case 'last':
      return { deliver_policy: 'last_per_subject' };
    case 'all':
      return { deliver_policy: 'all' };
    case 'new':
      return { deliver_policy: 'new' };
    default:
      return { deliver_policy: 'by_start_sequence', opt_start_seq: start.afterRevision + 1 };
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
