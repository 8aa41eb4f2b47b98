import type { IncomingMessage, ServerResponse } from 'node:http';
import { DiscoveryError, messageOf, type DiscoveryErrorCode } from '../../model/index.js';

/** What of Express's and Fastify's requests is used here. */
interface FrameworkRequest {
  readonly raw?: IncomingMessage;
  readonly params?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly originalUrl?: string;
}

/** What of Fastify's reply is used here. */
interface FrameworkReply {
  readonly raw?: ServerResponse;
  hijack?(): unknown;
}

/**
 * Of everything that is answered: nothing of it is kept by anybody, shown within another page, or read as what it isn't; and the
 * page runs, loads and reaches nothing but what lies beside it.
 */
const HEADERS: Readonly<Record<string, string>> = Object.freeze({
  'cache-control': 'no-store, no-transform',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
});

/** The longest body that is read, in bytes. */
const MAX_BODY = 16_384;

const STATUS: Readonly<Partial<Record<DiscoveryErrorCode, number>>> = Object.freeze({
  INVALID_OPTION: 400,
  INVALID_NAME: 400,
  UNSUPPORTED: 501,
  NO_SNAPSHOT: 503,
  NO_INSTANCE: 404,
  BACKEND_UNAVAILABLE: 503,
  BACKEND_CLOSED: 503,
  BACKEND_REFUSED: 502,
  TIMEOUT: 504,
});

/** A request that can't be answered as it is. */
export class Refusal extends Error {
  override name = 'Refusal';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The request as Node has it, of Express's or Fastify's. */
export function requestOf(request: object): IncomingMessage {
  return (request as FrameworkRequest).raw ?? (request as IncomingMessage);
}

/** The response as Node has it, of Express's or Fastify's. */
export function responseOf(response: object): ServerResponse {
  return (response as FrameworkReply).raw ?? (response as ServerResponse);
}

/**
 * One request and its answer, whatever framework they come from. What it answers goes out as it is: an interceptor of the
 * app's that wraps all answers would make them unreadable for those who know their shape.
 */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  /** The path that was asked for, as it came. */
  readonly path: string;
  private readonly framework: FrameworkRequest;

  constructor(request: object, response: object) {
    this.framework = request;
    this.request = requestOf(request);
    this.response = responseOf(response);
    (response as FrameworkReply).hijack?.();
    const target = this.framework.originalUrl ?? this.request.url ?? '/';
    const [path = '/'] = target.split(/[?#]/, 1);
    this.path = path;
    this.query = new URLSearchParams(target.slice(path.length + 1));
  }

  /** A parameter of the route. */
  param(name: string): string {
    return this.framework.params?.[name] ?? '';
  }

  /**
   * A whole number of the query, within bounds.
   * @throws Refusal 400
   */
  number(name: string, fallback: number, max: number): number {
    const given = this.query.get(name);
    if (given === null) return fallback;
    if (!/^\d{1,9}$/.test(given)) throw new Refusal(400, `${name} must be a whole number`);
    return Math.min(Number(given), max);
  }

  /**
   * The object that was sent. Only as JSON, which no page of another origin can send unasked.
   * @throws Refusal 400, 413, 415
   */
  async body(): Promise<Readonly<Record<string, unknown>>> {
    this.assertSameSite();
    this.assertSameOrigin();
    const type = this.request.headers['content-type'] ?? '';
    if (!/^application\/(?:[\w.+-]+\+)?json(?:;|$)/i.test(type.trim())) {
      throw new Refusal(415, 'send a JSON object, as application/json');
    }
    const parsed = this.framework.body ?? (await this.readJson());
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
      throw new Refusal(400, 'the body must be a JSON object');
    }
    return parsed as Readonly<Record<string, unknown>>;
  }

  /**
   * Refuses what a page of another site has sent.
   * @throws Refusal 403
   */
  assertSameSite(): void {
    const site = this.request.headers['sec-fetch-site'];
    if (site !== undefined && site !== 'same-origin' && site !== 'none') throw fromElsewhere();
  }

  /**
   * Refuses what a script of another site's page asks for, which an app that allows other origins (CORS) would let it read. Links
   * from elsewhere lead here.
   *
   * @throws Refusal 403
   */
  assertReadable(): void {
    if (this.request.headers['sec-fetch-mode'] !== 'navigate') this.assertSameSite();
  }

  /** Older browsers, and all of them without TLS, say only where the page comes from. */
  private assertSameOrigin(): void {
    const { headers } = this.request;
    if (headers['sec-fetch-site'] !== undefined || headers.origin === undefined) return;
    const own = [headers.host, headers['x-forwarded-host']];
    if (!own.includes(headers.origin.replace(/^[a-z]+:\/\//i, ''))) throw fromElsewhere();
  }

  /** Answers with a text. */
  send(status: number, type: string, text: string): void {
    const { response } = this;
    if (response.headersSent) return;
    const body = Buffer.from(text);
    this.forgetCors();
    response.writeHead(status, { ...HEADERS, 'content-type': type, 'content-length': body.length });
    response.end(this.request.method === 'HEAD' ? undefined : body);
  }

  /** Answers with JSON. */
  json(value: unknown, status = 200, type = 'application/json; charset=utf-8'): void {
    this.send(status, type, JSON.stringify(value));
  }

  /** Sends the browser to another path, relative to this one. */
  redirect(location: string): void {
    this.response.setHeader('location', location);
    this.send(302, 'text/plain; charset=utf-8', '');
  }

  /** Begins a stream of events. */
  stream(): ServerResponse {
    const type = 'text/event-stream; charset=utf-8';
    this.forgetCors();
    this.response.writeHead(200, { ...HEADERS, 'content-type': type, 'x-accel-buffering': 'no' });
    return this.response;
  }

  /** Answers with what was thrown. */
  fail(error: unknown): void {
    if (this.response.headersSent) return void this.response.destroy();
    if (error instanceof Refusal) return this.json({ code: 'REFUSED', message: error.message }, error.status);
    const known = error instanceof DiscoveryError;
    // What else fails is ours, and nobody else's to read.
    const message = known ? messageOf(error) : 'it failed: see the log of the app';
    const status = known ? (STATUS[error.code] ?? 500) : 500;
    this.json({ code: known ? error.code : 'INTERNAL', message }, status);
  }

  /** Whatever else of the app other origins may read: this they may not. */
  private forgetCors(): void {
    for (const name of this.response.getHeaderNames()) {
      if (name.startsWith('access-control-')) this.response.removeHeader(name);
    }
  }

  private async readJson(): Promise<unknown> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.request) {
      length += (chunk as Buffer).length;
      if (length > MAX_BODY) throw new Refusal(413, `the body has more than ${MAX_BODY} bytes`);
      chunks.push(chunk as Buffer);
    }
    try {
      return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
    } catch {
      throw new Refusal(400, 'the body is no JSON');
    }
  }
}

function fromElsewhere(): Refusal {
  return new Refusal(403, 'this may not be asked for by a page of another site');
}
