import { DiscoveryError, type DiscoveryErrorDetails } from '../../../model/index.js';
import { isNoResponders } from '../connection/errors.js';
import type { NatsSession } from '../connection/session.js';

/** Error codes of the JetStream API (`err_code`) that are acted upon. */
export const JS_ERROR = {
  consumerNotFound: 10_014,
  messageNotFound: 10_037,
  notEnabledForAccount: 10_039,
  streamExistsOtherwise: 10_058,
  streamNotFound: 10_059,
  wrongLastSequence: 10_071,
  notEnabled: 10_076,
} as const;

/** JetStream refused a request: `BACKEND_REFUSED`, or `BACKEND_UNAVAILABLE` when it only can't at present. */
export class JetStreamError extends DiscoveryError {
  override name = 'JetStreamError';
  constructor(
    /** JetStream's `err_code`, as 10059 for "stream not found". */
    readonly errorCode: number,
    status: number,
    message: string,
    details: DiscoveryErrorDetails = {},
  ) {
    super(status === 503 ? 'BACKEND_UNAVAILABLE' : 'BACKEND_REFUSED', message, details);
  }
}

/** True for a {@link JetStreamError} with one of these codes. */
export function isJetStreamError(error: unknown, ...codes: readonly number[]): error is JetStreamError {
  return error instanceof JetStreamError && codes.includes(error.errorCode);
}

/** A JSON object that a server sent. */
export type ApiObject = Readonly<Record<string, unknown>>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The JetStream API (`$JS.API.…`): JSON requests over core NATS. */
export class JetStreamApi {
  private level: Promise<number> | undefined;

  constructor(
    readonly session: NatsSession,
    private readonly prefix: string,
  ) {}

  /**
   * One request.
   * @throws JetStreamError when JetStream refused; DiscoveryError `BACKEND_UNAVAILABLE` when nobody answered
   */
  async request(subject: string, body?: object, signal?: AbortSignal): Promise<ApiObject> {
    const payload = body === undefined ? undefined : encoder.encode(JSON.stringify(body));
    const full = `${this.prefix}.${subject}`;
    try {
      const message = await this.session.request(full, payload, { signal });
      return readAnswer(message.data, full);
    } catch (error) {
      throw asUnavailable(error, full);
    }
  }

  /**
   * What JetStream of this server can do: 0 up to 2.10, 1 for 2.11 (time to live for a message, delete markers), and so
   * on. Asked once for a connection.
   */
  apiLevel(signal?: AbortSignal): Promise<number> {
    this.level ??= this.request('INFO', undefined, signal).then((info) => {
      const { api } = info;
      const level = typeof api === 'object' && api !== null ? (api as ApiObject)['level'] : undefined;
      return typeof level === 'number' ? level : 0;
    });
    const { level } = this;
    level.catch(() => {
      if (this.level === level) this.level = undefined;
    });
    return level;
  }

  /** The next connection may lead to another server. */
  forgetLevel(): void {
    this.level = undefined;
  }
}

/** Nobody answers where JetStream should, or not in time: it can't be asked. */
export function asUnavailable(error: unknown, subject: string): unknown {
  if (isNoResponders(error)) {
    return new DiscoveryError(
      'BACKEND_UNAVAILABLE',
      `JetStream doesn't answer on ${subject}: it is not enabled on the server (nats-server -js), or has no leader now`,
      { cause: error },
    );
  }
  if (error instanceof DiscoveryError && error.code === 'TIMEOUT') {
    return new DiscoveryError('BACKEND_UNAVAILABLE', error.message, { cause: error });
  }
  return error;
}

/**
 * Reads an answer of the API.
 * @throws JetStreamError for an error of JetStream's; DiscoveryError `BACKEND_REFUSED` for what is no answer
 */
export function readAnswer(data: Uint8Array, subject: string): ApiObject {
  let answer: unknown;
  try {
    answer = JSON.parse(decoder.decode(data));
  } catch (cause) {
    throw new DiscoveryError('BACKEND_REFUSED', `what answered on ${subject} sent no JSON`, { cause });
  }
  if (!isObject(answer)) throw new DiscoveryError('BACKEND_REFUSED', `what answered on ${subject} sent no object`);
  const { error } = answer;
  if (!isObject(error)) return answer;
  const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
  const description = typeof error['description'] === 'string' ? error['description'] : 'no description';
  const errorCode = number(error['err_code']);
  throw new JetStreamError(
    errorCode,
    number(error['code']),
    `JetStream refused ${subject}: ${description} (${errorCode})`,
  );
}

/** True for a JSON object. */
export function isObject(value: unknown): value is ApiObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
