import { STATUS_CODES } from 'node:http';
import { Readable } from 'node:stream';
import { Catch, Logger, Optional, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { AxiosError, type AxiosResponse } from 'axios';
import { checkOptions, flag, integerBetween, withoutSecrets } from '../backend/index.js';
import { codeOf, DiscoveryError, messageOf } from '../model/index.js';

/** Options of {@link DiscoveryExceptionFilter}. */
export interface DiscoveryExceptionFilterOptions {
  /**
   * Whether a service's 4xx is answered as it came: status, body, `Content-Type`, `Retry-After` and `WWW-Authenticate`.
   * Else it is a 502, for it was this app that asked wrongly. @default false
   */
  readonly passOn4xx?: boolean;
  /** When a caller may come again after a 503, in seconds. @default 5 */
  readonly retryAfterSeconds?: number;
}

/** Errors of a call that are this app's own: they never left it. */
const OWN_FAULTS = new Set([
  'ERR_BAD_OPTION',
  'ERR_BAD_OPTION_VALUE',
  'ERR_DEPRECATED',
  'ERR_FORM_DATA_DEPTH_EXCEEDED',
  'ERR_INVALID_URL',
  'ERR_NOT_SUPPORT',
]);

/** The time was over, or whoever called had lost patience. */
const TIME_OUTS = new Set(['ECONNABORTED', 'ETIMEDOUT', 'ERR_CANCELED', 'UND_ERR_CONNECT_TIMEOUT', 'TIMEOUT']);

const STATUS_OF: Readonly<Record<string, number>> = {
  NO_INSTANCE: 503,
  NO_SNAPSHOT: 503,
  BACKEND_UNAVAILABLE: 503,
  BULKHEAD_FULL: 503,
  TIMEOUT: 504,
  INVALID_RESPONSE: 502,
};

/** What Express's response and Fastify's reply have in common. */
interface Reply {
  status(code: number): Reply;
  header(name: string, value: string): Reply;
  send(body?: unknown): unknown;
  readonly headersSent?: boolean;
  readonly raw?: { readonly headersSent: boolean; destroy(): void };
  destroy?(): void;
}

/**
 * Answers for calls that failed: 503 with `Retry-After` when a service has no instance or isn't known yet, 502 when its
 * instances can't be reached, break off or answer 5xx, 504 when they take too long; 500 for this app's own faults. Whoever
 * asked gets the status in words; the log has one line without headers, queries and bodies.
 *
 * ```ts
 * app.useGlobalFilters(new DiscoveryExceptionFilter({ passOn4xx: true }));
 * // or { provide: APP_FILTER, useClass: DiscoveryExceptionFilter }
 * ```
 *
 * On Express and Fastify. Handlers of messages and of GraphQL are left to Nest.
 *
 * @throws DiscoveryError `INVALID_OPTION`, when it is made
 * @publicApi
 */
@Catch(AxiosError, DiscoveryError)
export class DiscoveryExceptionFilter implements ExceptionFilter<AxiosError | DiscoveryError> {
  private readonly logger = new Logger('DiscoveryExceptionFilter');
  private readonly passOn4xx: boolean;
  private readonly retryAfterSeconds: number;

  constructor(@Optional() options?: DiscoveryExceptionFilterOptions) {
    const given = options ?? {};
    checkOptions('DiscoveryExceptionFilter', given, {
      passOn4xx: flag,
      retryAfterSeconds: integerBetween(0, 86_400),
    } satisfies Record<keyof DiscoveryExceptionFilterOptions, unknown>);
    this.passOn4xx = given.passOn4xx ?? false;
    this.retryAfterSeconds = given.retryAfterSeconds ?? 5;
  }

  catch(exception: AxiosError | DiscoveryError, host: ArgumentsHost): void {
    // Nest goes on as if there were no filter when one gives nothing.
    if (host.getType() !== 'http') return tellSocket(host);
    const reply = host.switchToHttp().getResponse<Reply>();
    const answer = exception instanceof DiscoveryError ? undefined : exception.response;
    if ((reply.raw ?? reply).headersSent === true) {
      this.log(exception, host, undefined);
      discard(answer);
      // What was begun can't be ended well, and an ordinary end would look like that.
      (reply.raw ?? reply).destroy?.();
      return;
    }
    if (this.passOn4xx && answer !== undefined && answer.status >= 400 && answer.status < 500) {
      passOn(answer, reply);
      return;
    }
    discard(answer);
    const status = statusFor(exception);
    this.log(exception, host, status);
    if (status === 503) reply.header('Retry-After', String(this.retryAfterSeconds));
    reply.status(status).send(bodyOf(status));
  }

  private log(exception: AxiosError | DiscoveryError, host: ArgumentsHost, status: number | undefined): void {
    const { method = '', url = '' } = host.switchToHttp().getRequest<{ method?: string; url?: string }>();
    const called = exception instanceof DiscoveryError ? '' : ` (${callOf(exception)})`;
    const line = `${method} ${withoutSecrets(url)}: ${messageOf(exception)}${called}`;
    // Where it is this app's own fault, the place in the code says more than the words.
    if (status === 500) this.logger.error(line, exception.stack);
    else this.logger.error(line);
  }
}

function statusFor(exception: AxiosError | DiscoveryError): number {
  if (exception instanceof DiscoveryError) return STATUS_OF[exception.code] ?? 500;
  if (exception.response !== undefined) return 502;
  const code = codeOf(exception) ?? '';
  if (OWN_FAULTS.has(code)) return 500;
  return TIME_OUTS.has(code) ? 504 : 502;
}

function bodyOf(status: number): object {
  return { statusCode: status, message: STATUS_CODES[status] };
}

function passOn({ status, data, headers }: AxiosResponse<unknown>, reply: Reply): void {
  const header = (name: string): string | undefined => {
    const value: unknown = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  reply.status(status);
  for (const name of ['retry-after', 'www-authenticate']) {
    const value = header(name);
    if (value !== undefined) reply.header(name, value);
  }
  if (data instanceof Readable) {
    discard({ data });
    reply.send(bodyOf(status));
  } else if (typeof data === 'string' || data instanceof Uint8Array) {
    // Without a type Express would take a text for HTML.
    reply.header('content-type', header('content-type') ?? 'text/plain; charset=utf-8');
    reply.send(data instanceof Uint8Array ? Buffer.from(data) : data);
  } else if (typeof data === 'object' && data !== null) reply.send(data);
  else reply.send(bodyOf(status));
}

/** Lets go of an answer that nobody will read. */
function discard(answer: { readonly data?: unknown } | undefined): void {
  if (answer?.data instanceof Readable) answer.data.destroy();
}

/** `GET lb://STOCK/quote`, as far as it holds no secret. */
function callOf({ config }: AxiosError): string {
  const method = config?.method?.toUpperCase() ?? 'GET';
  const { baseURL = '', url = '' } = config ?? {};
  return `${method} ${withoutSecrets(url.includes('://') ? url : baseURL + url)}`;
}

/** What Nest's own filter for web sockets does, which a filter of the app's takes the place of. */
function tellSocket(host: ArgumentsHost): void {
  if (host.getType() !== 'ws') return;
  const client = host.switchToWs().getClient<{ emit?: (event: string, data: unknown) => void }>();
  client.emit?.('exception', { status: 'error', message: 'Internal server error' });
}
