import {
  abandonOnAbort,
  Backoff,
  checkOptions,
  flag,
  integerBetween,
  milliseconds,
  anything,
  SingleFlight,
  systemClock,
  text,
  type Clock,
} from '../../../backend/index.js';
import { defined, DiscoveryError, isPrototypeKey } from '../../../model/index.js';
import { isNoResponders, NatsServiceError, noResponders, toRequestError } from '../connection/errors.js';
import {
  firstOf,
  headersOf,
  toEncodable,
  toHeaders,
  type EncodableHeaders,
  type NatsHeaderMap,
  type NatsHeadersInput,
} from '../connection/headers.js';
import type { NatsConnection, NatsRawMessage } from '../connection/port.js';
import { assertServiceName, assertSubject } from '../service/names.js';
import { ERROR_CODE_HEADER, ERROR_HEADER } from '../service/protocol.js';
import { encodePayload, type NatsData } from '../service/request.js';
import { ServiceQueries } from './service-queries.js';

/** How calls are made; each can be overridden for one call. */
export interface CallServiceOptions {
  /** Longest time for the whole call, with all its tries, in milliseconds. @default 5000 */
  readonly timeoutMs?: number;
  /**
   * Further tries after a failure by which nobody can have seen the request: no responders, no connection. @default 2
   */
  readonly retries?: number;
  /** The request may be dealt with twice: it is also tried again after no answer and after 503. @default false */
  readonly idempotent?: boolean;
  readonly headers?: NatsHeadersInput;
  readonly signal?: AbortSignal;
}

/** Options of a {@link NatsServiceClient}. */
export interface NatsServiceClientOptions extends Omit<CallServiceOptions, 'signal' | 'headers'> {
  /** Root of the control subjects, as the service has it. @default '$SRV' */
  readonly apiPrefix?: string;
  /** How long it is remembered which subject an endpoint has, in milliseconds. @default 60000 */
  readonly subjectsMs?: number;
  /** Longest share of the time that one try may take when there are to be others, for idempotent calls. @default 0.5 */
  readonly tryShare?: number;
  /** Headers that every call takes along: those of the request that is being dealt with. Its own headers win. */
  readonly ambientHeaders?: () => NatsHeaderMap | undefined;
  /** @default '_INBOX' */
  readonly inboxPrefix?: string;
  /** @default the system's */
  readonly clock?: Clock;
  /** @default Math.random */
  readonly random?: () => number;
}

const CLIENT_OPTIONS = {
  timeoutMs: milliseconds(1),
  retries: integerBetween(0, 100),
  idempotent: flag,
  apiPrefix: text,
  subjectsMs: milliseconds(0),
  tryShare: anything,
  ambientHeaders: anything,
  inboxPrefix: text,
  clock: anything,
  random: anything,
};

/** The answer of a service. */
export class ServiceAnswer {
  private readonly message: NatsRawMessage;
  private allHeaders: NatsHeaderMap | undefined;

  /** @internal */
  constructor(message: NatsRawMessage) {
    this.message = message;
  }

  get data(): Uint8Array {
    return this.message.data;
  }

  get headers(): NatsHeaderMap {
    this.allHeaders ??= headersOf(this.message.headers);
    return this.allHeaders;
  }

  /** The body as text. */
  text(): string {
    return new TextDecoder().decode(this.data);
  }

  /** The body as JSON, undefined when it is empty. @throws DiscoveryError `BACKEND_REFUSED` when it is none */
  // The caller's word for what the answer is, as with every JSON.parse.
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  json<T = unknown>(): T {
    if (this.data.length === 0) return undefined as T;
    try {
      return JSON.parse(this.text()) as T;
    } catch (cause) {
      throw new DiscoveryError('BACKEND_REFUSED', `the answer on ${this.message.subject} is no JSON`, { cause });
    }
  }
}

/**
 * Calls the endpoints of one service by their names. Which of its instances answers is the queue group's affair.
 *
 * Errors: `NatsServiceError` when the service answered with one; `DiscoveryError` `NO_INSTANCE` when no instance runs,
 * `TIMEOUT` when no answer came in time, `ABORTED`, `BACKEND_UNAVAILABLE`, `BACKEND_CLOSED`.
 */
export class NatsServiceClient {
  private readonly clock: Clock;
  private readonly queries: ServiceQueries;
  private readonly lookUps = new SingleFlight<ReadonlyMap<string, readonly string[]>>();
  private subjects: ReadonlyMap<string, readonly string[]> | undefined;
  private subjectsAsOf = 0;

  /** @param connection the connection, or what gives it each time (and throws while there is none) */
  constructor(
    private readonly connection: NatsConnection | (() => NatsConnection),
    readonly service: string,
    private readonly options: NatsServiceClientOptions = {},
  ) {
    assertServiceName(service, 'service');
    checkOptions(`the client of ${service}`, options, CLIENT_OPTIONS);
    this.clock = options.clock ?? systemClock;
    const { apiPrefix, inboxPrefix } = options;
    this.queries = new ServiceQueries(connection, {
      clock: this.clock,
      ...defined({ apiPrefix, inboxPrefix }),
    });
  }

  /**
   * Calls an endpoint by its name, JSON both ways (a text too; bytes go as they are). Errors as
   * {@link NatsServiceClient}.
   */
  async call<T = unknown>(endpoint: string, payload?: NatsData, options?: CallServiceOptions): Promise<T> {
    const json = typeof payload === 'string' ? JSON.stringify(payload) : payload;
    return (await this.request(endpoint, json, options)).json<T>();
  }

  /**
   * Calls an endpoint by its name, with a payload as it is: bytes and texts unchanged, anything else as JSON.
   * `subject:orders.create` calls a subject.
   * @throws DiscoveryError `INVALID_NAME` when the service has no endpoint of that name, or several
   */
  async request(endpoint: string, payload?: NatsData, options: CallServiceOptions = {}): Promise<ServiceAnswer> {
    const timeoutMs = options.timeoutMs ?? this.options.timeoutMs ?? 5000;
    const retries = options.retries ?? this.options.retries ?? 2;
    const idempotent = options.idempotent ?? this.options.idempotent ?? false;
    const data = encodePayload(payload);
    const headers = this.headersFor(options.headers);
    const endsAt = this.clock.now() + timeoutMs;
    let backoff: Backoff | undefined;
    for (let attempt = 0; ; attempt += 1) {
      const left = Math.max(1, endsAt - this.clock.now());
      const last = attempt >= retries;
      // A try whose answer is lost must leave time for the next one.
      const tryMs = last || !idempotent ? left : Math.max(1, left * (this.options.tryShare ?? 0.5));
      let sent = false;
      try {
        const connection = typeof this.connection === 'function' ? this.connection() : this.connection;
        const subject = this.knownSubject(endpoint) ?? (await this.findSubject(endpoint, left, options.signal));
        sent = true;
        return await this.send(connection, subject, data, headers, tryMs, options.signal);
      } catch (error) {
        if (isNoResponders(error)) this.subjects = undefined;
        if (last || !mayRetry(error, sent, idempotent)) throw error;
        const { random } = this.options;
        backoff ??= new Backoff({
          clock: this.clock,
          initialMs: 50,
          maxMs: 1000,
          ...defined({ random }),
        });
        if (this.clock.now() >= endsAt || !(await backoff.wait(options.signal))) throw error;
        if (this.clock.now() >= endsAt) throw error;
      }
    }
  }

  /** Looks the subjects of all endpoints up now, so that the first call need not. */
  async warmUp(): Promise<void> {
    await this.lookUp(5000);
  }

  private async send(
    connection: NatsConnection,
    subject: string,
    data: Uint8Array,
    headers: EncodableHeaders | undefined,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<ServiceAnswer> {
    let message: NatsRawMessage;
    try {
      const answer = connection.request(subject, data, headers === undefined ? { timeout } : { timeout, headers });
      message = await (signal === undefined ? answer : abandonOnAbort(answer, signal, `calling ${subject}`));
    } catch (error) {
      throw toRequestError(error, subject, Math.round(timeout), this.service);
    }
    if (message.headers !== undefined) this.throwServiceError(message, subject);
    return new ServiceAnswer(message);
  }

  private throwServiceError(message: NatsRawMessage, subject: string): void {
    const headers = headersOf(message.headers);
    const code = firstOf(headers, ERROR_CODE_HEADER);
    const description = firstOf(headers, ERROR_HEADER);
    if (code === undefined && description === undefined) return;
    const status = Number(code ?? '500');
    throw new NatsServiceError(Number.isInteger(status) ? status : 500, description ?? 'no description', {
      data: message.data,
      headers,
      subject,
      service: this.service,
    });
  }

  private headersFor(given: NatsHeadersInput | undefined): EncodableHeaders | undefined {
    const ambient = this.options.ambientHeaders?.();
    if (given === undefined && (ambient === undefined || ambient.size === 0)) return undefined;
    return toEncodable(new Map([...(ambient ?? []), ...toHeaders(given)]));
  }

  private knownSubject(endpoint: string): string | undefined {
    if (endpoint.startsWith('subject:')) {
      const subject = endpoint.slice('subject:'.length);
      assertSubject(subject, 'endpoint');
      return callable(this.service, endpoint, subject);
    }
    const { subjects } = this;
    if (subjects === undefined) return undefined;
    if (this.clock.now() - this.subjectsAsOf > (this.options.subjectsMs ?? 60_000)) {
      // Remembered meanwhile: the look-up goes on beside the calls.
      this.subjectsAsOf = this.clock.now();
      this.lookUp(5000).catch(() => {});
    }
    return onlySubject(this.service, endpoint, subjects);
  }

  private async findSubject(endpoint: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<string> {
    const subjects = await abandonOnAbort(this.lookUp(timeoutMs), signal, `looking up ${this.service}`);
    const subject = onlySubject(this.service, endpoint, subjects);
    if (subject !== undefined) return subject;
    throw new DiscoveryError(
      'INVALID_NAME',
      `${this.service} has no endpoint '${endpoint}'; it has ${[...subjects.keys()].join(', ') || 'none'}`,
      { service: this.service, field: 'endpoint' },
    );
  }

  /** The subjects of each endpoint name, by what all instances say: they may differ in version. */
  private lookUp(timeoutMs: number): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.lookUps.run('info', async () => {
      const subjects = new Map<string, string[]>();
      let answered = false;
      for await (const info of this.queries.infoEach({
        name: this.service,
        maxWaitMs: Math.min(timeoutMs, 2000),
        stallMs: 100,
      })) {
        answered = true;
        for (const { name, subject } of info.endpoints) {
          if (isPrototypeKey(name)) continue;
          const known = subjects.get(name) ?? [];
          if (!known.includes(subject)) known.push(subject);
          subjects.set(name, known);
        }
      }
      if (!answered)
        throw noResponders(`${this.options.apiPrefix ?? '$SRV'}.INFO.${this.service}`, {
          service: this.service,
        });
      this.subjects = subjects;
      this.subjectsAsOf = this.clock.now();
      return subjects;
    });
  }
}

function onlySubject(
  service: string,
  endpoint: string,
  subjects: ReadonlyMap<string, readonly string[]>,
): string | undefined {
  const found = subjects.get(endpoint) ?? [];
  const [only] = found;
  if (only === undefined) return undefined;
  if (found.length === 1) return callable(service, endpoint, only);
  throw new DiscoveryError(
    'INVALID_NAME',
    `${service} has several endpoints '${endpoint}': say which by 'subject:' and one of ${found.join(', ')}`,
    { service, field: 'endpoint' },
  );
}

/** A pattern is subscribed, not called: a request to it would go to a subject of that very name, where nobody listens. */
function callable(service: string, endpoint: string, subject: string): string {
  if (!/(?:^|\.)[*>](?:\.|$)/.test(subject)) return subject;
  throw new DiscoveryError(
    'INVALID_NAME',
    `the endpoint '${endpoint}' of ${service} listens to the pattern ${subject}: say which subject by 'subject:' and one that fits`,
    { service, field: 'endpoint' },
  );
}

/** Nobody has seen the request, or it may be dealt with twice. */
function mayRetry(error: unknown, sent: boolean, idempotent: boolean): boolean {
  if (!(error instanceof DiscoveryError)) return false;
  const { code } = error;
  if (code === 'NO_INSTANCE' || (!sent && code === 'BACKEND_UNAVAILABLE')) return true;
  if (!idempotent) return false;
  const busy = error instanceof NatsServiceError && error.status === 503;
  return busy || code === 'TIMEOUT' || code === 'BACKEND_UNAVAILABLE';
}
