import { IncomingMessage, ServerResponse } from 'node:http';
import { DiscoveryError } from '../../model/index.js';
import type { ParsedBody } from './request-body.js';

/** A request and the way to answer it, whatever framework they come from. */
export interface Incoming {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly parsed: ParsedBody;
  /** The request's target, as it came: before a router took something off. */
  readonly target: string;
  /** The route that it came by. */
  route: string | undefined;
  /** Takes the answer over from the framework, with what it has set so far. */
  takeOver(): void;
}

interface WithBody {
  readonly body?: unknown;
  readonly rawBody?: unknown;
  readonly originalUrl?: string;
}

/** What of Fastify's request and reply is used here. */
interface FastifyRequestLike extends WithBody {
  readonly raw: IncomingMessage;
}
interface FastifyReplyLike {
  readonly raw: ServerResponse;
  hijack(): unknown;
  getHeaders(): Readonly<Record<string, number | string | string[] | undefined>>;
}

/** Why a request that came by HTTP/2 isn't passed on. */
export const HTTP_1_ONLY =
  'the gateway passes on requests of HTTP/1.1, and this one came by HTTP/2: end HTTP/2 before it';

/** Whether a request came by HTTP/2, whose requests and responses only look like those of HTTP/1.1. */
export function isHttp2(request: unknown): boolean {
  const { httpVersionMajor } = (request ?? {}) as { readonly httpVersionMajor?: unknown };
  return httpVersionMajor === 2;
}

/**
 * The two as Node has them, of Express's, Fastify's and Node's own.
 * @throws DiscoveryError `UNSUPPORTED` for HTTP/2, `INVALID_OPTION` for anything else
 */
export function incomingOf(request: object, response: object): Incoming {
  const fastify = fastifyPair(request, response);
  if (fastify !== undefined) return fromFastify(fastify.request, fastify.reply);
  if (isHttp2(request) || ('raw' in request && isHttp2(request.raw))) {
    throw new DiscoveryError('UNSUPPORTED', HTTP_1_ONLY, { field: 'request' });
  }
  if (!(request instanceof IncomingMessage) || !(response instanceof ServerResponse)) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      "forward() takes the request and the response of Express, of Fastify or of Node's HTTP/1.1 server, as @Req() and @Res() give them",
      { field: 'request' },
    );
  }
  const { body, rawBody, originalUrl } = request as IncomingMessage & WithBody;
  return {
    request,
    response,
    parsed: { body, rawBody, decodes: true },
    target: originalUrl ?? request.url ?? '/',
    route: undefined,
    takeOver: () => {},
  };
}

function fromFastify(request: FastifyRequestLike, reply: FastifyReplyLike): Incoming {
  const { raw } = reply;
  return {
    request: request.raw,
    response: raw,
    parsed: { body: request.body, rawBody: request.rawBody, decodes: false },
    target: request.raw.url ?? '/',
    route: undefined,
    takeOver: () => {
      const headers = Object.entries(reply.getHeaders());
      reply.hijack();
      for (const [name, value] of headers) if (value !== undefined && !raw.headersSent) raw.setHeader(name, value);
    },
  };
}

function fastifyPair(
  request: object,
  reply: object,
): { readonly request: FastifyRequestLike; readonly reply: FastifyReplyLike } | undefined {
  const isPair =
    'raw' in request &&
    request.raw instanceof IncomingMessage &&
    'hijack' in reply &&
    typeof reply.hijack === 'function';
  return isPair ? { request: request as FastifyRequestLike, reply: reply as FastifyReplyLike } : undefined;
}
