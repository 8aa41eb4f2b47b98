import { systemClock, type Clock } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { toRequestError } from '../connection/errors.js';
import type { NatsConnection } from '../connection/port.js';
import { assertPrefix, assertServiceName, DEFAULT_API_PREFIX } from '../service/names.js';
import {
  decodeAnswer,
  type ServiceAnswers,
  type ServiceIdentity,
  type ServiceInfo,
  type ServiceStats,
  type ServiceVerb,
} from '../service/protocol.js';
import { randomId } from '../service/service.js';
import { gather, type GatherOptions } from './gather.js';

/** Options of {@link ServiceQueries}. */
export interface ServiceQueriesOptions {
  /** Root of the control subjects, as the services have it. @default '$SRV' */
  readonly apiPrefix?: string;
  /** What questions use unless they say otherwise. */
  readonly defaults?: Pick<GatherOptions, 'maxWaitMs' | 'stallMs'>;
  /** @default '_INBOX' */
  readonly inboxPrefix?: string;
  /** Told of an answer that is none; it is left out. */
  readonly onSkipped?: (error: unknown, subject: string) => void;
  /** @default the system's */
  readonly clock?: Clock;
}

/** What is asked, and how long. */
export interface QueryOptions extends GatherOptions {
  /** One kind of service only. */
  readonly name?: string;
}

/** Asks the services of a NATS system who they are, what they offer and what they have done (ADR-32). */
export class ServiceQueries {
  private readonly clock: Clock;
  private readonly prefix: string;

  /** @param connection the connection, or what gives it each time (and throws while there is none) */
  constructor(
    private readonly connection: NatsConnection | (() => NatsConnection),
    private readonly options: ServiceQueriesOptions = {},
  ) {
    this.clock = options.clock ?? systemClock;
    this.prefix = options.apiPrefix ?? DEFAULT_API_PREFIX;
    assertPrefix(this.prefix, 'apiPrefix');
  }

  /** Who is there; all at once. An empty list when nobody is. */
  ping(options?: QueryOptions): Promise<readonly ServiceIdentity[]> {
    return this.collect('PING', options);
  }

  /** What they offer; all at once. */
  info(options?: QueryOptions): Promise<readonly ServiceInfo[]> {
    return this.collect('INFO', options);
  }

  /** What they have done; all at once. */
  stats(options?: QueryOptions): Promise<readonly ServiceStats[]> {
    return this.collect('STATS', options);
  }

  /** Who is there, one by one as they answer. */
  pingEach(options?: QueryOptions): AsyncGenerator<ServiceIdentity, void, undefined> {
    return this.each('PING', options);
  }

  /** What they offer, one by one as they answer. */
  infoEach(options?: QueryOptions): AsyncGenerator<ServiceInfo, void, undefined> {
    return this.each('INFO', options);
  }

  /** What they have done, one by one as they answer. */
  statsEach(options?: QueryOptions): AsyncGenerator<ServiceStats, void, undefined> {
    return this.each('STATS', options);
  }

  /**
   * One instance.
   * @throws DiscoveryError `NO_INSTANCE` when it isn't there
   */
  instance(name: string, id: string): InstanceQueries {
    assertServiceName(name, 'service name');
    assertServiceName(id, 'service id');
    const ask = async <V extends ServiceVerb>(verb: V, timeoutMs = 2000): Promise<ServiceAnswers[V]> => {
      const subject = `${this.prefix}.${verb}.${name}.${id}`;
      try {
        const message = await this.current().request(subject, undefined, { timeout: timeoutMs });
        return identified(decodeAnswer(verb, message.data), subject, name, id);
      } catch (error) {
        throw toRequestError(error, subject, timeoutMs, name);
      }
    };
    return {
      ping: (timeoutMs) => ask('PING', timeoutMs),
      info: (timeoutMs) => ask('INFO', timeoutMs),
      stats: (timeoutMs) => ask('STATS', timeoutMs),
    };
  }

  private async collect<V extends ServiceVerb>(verb: V, options?: QueryOptions): Promise<readonly ServiceAnswers[V][]> {
    const answers: ServiceAnswers[V][] = [];
    for await (const answer of this.each(verb, options)) answers.push(answer);
    return answers;
  }

  private async *each<V extends ServiceVerb>(
    verb: V,
    options: QueryOptions = {},
  ): AsyncGenerator<ServiceAnswers[V], void, undefined> {
    const { name, ...limits } = options;
    if (name !== undefined) assertServiceName(name, 'service name');
    const subject = name === undefined ? `${this.prefix}.${verb}` : `${this.prefix}.${verb}.${name}`;
    const inbox = `${this.options.inboxPrefix ?? '_INBOX'}.${randomId()}`;
    const answers = gather(this.current(), this.clock, inbox, subject, { ...this.options.defaults, ...limits });
    for await (const message of answers) {
      const answer = this.read(verb, message.data, subject, name);
      if (answer !== undefined) yield answer;
    }
  }

  private read<V extends ServiceVerb>(
    verb: V,
    data: Uint8Array,
    subject: string,
    name: string | undefined,
  ): ServiceAnswers[V] | undefined {
    try {
      return identified(decodeAnswer(verb, data), subject, name);
    } catch (error) {
      this.options.onSkipped?.(error, subject);
      return undefined;
    }
  }

  private current(): NatsConnection {
    return typeof this.connection === 'function' ? this.connection() : this.connection;
  }
}

/** Questions to one instance. Each waits up to `timeoutMs` (default 2000). */
export interface InstanceQueries {
  ping(timeoutMs?: number): Promise<ServiceIdentity>;
  info(timeoutMs?: number): Promise<ServiceInfo>;
  stats(timeoutMs?: number): Promise<ServiceStats>;
}

/** Whoever answers for another one than was asked for would be taken for it. @throws DiscoveryError `INVALID_INSTANCE` */
function identified<T extends ServiceIdentity>(answer: T, subject: string, name?: string, id?: string): T {
  const others = (name !== undefined && answer.name !== name) || (id !== undefined && answer.id !== id);
  if (!others) return answer;
  throw new DiscoveryError('INVALID_INSTANCE', `${subject} was answered by ${answer.name} (${answer.id})`, {
    service: answer.name,
  });
}
