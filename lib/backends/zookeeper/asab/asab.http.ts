import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AxiosInstance, InternalAxiosRequestConfig } from 'axios';
import { codeOf, DiscoveryError } from '../../../model/index.js';
import { isAsabHost, NotDiscoveredError, parseAsabHost } from './asab.address.js';
import { asabAgents, type AsabAgents } from './asab.connect.js';
import type { AsabAuth, AsabAuthorization } from './asab.authorization.js';
import type { AsabLocator } from './asab.types.js';

/** Options of {@link discoverable}. */
export interface DiscoverableOptions {
  /** Whose authorization calls carry. @default that of the incoming request, if any */
  readonly auth?: AsabAuth;
}

/** What `discoverable` needs besides the axios instance. */
export interface DiscoverableParts {
  readonly locator: AsabLocator;
  readonly authorization: AsabAuthorization;
}

/** A body that is longer is no set of keys. */
const MAX_BODY_BYTES = 1024 * 1024;

const FETCH_TIMEOUT_MS = 10_000;

/**
 * Teaches an axios instance discovered addresses; everything else about it, other hosts included, stays as it is.
 * Gives the same instance back.
 */
export function makeDiscoverable(
  instance: AxiosInstance,
  { locator, authorization }: DiscoverableParts,
  agents: AsabAgents,
  options: DiscoverableOptions,
): AxiosInstance {
  instance.interceptors.request.use(async (config) => {
    const host = hostOf(config);
    if (host === undefined || !isAsabHost(host)) return config;
    parseAsabHost(host);
    for (const [name, value] of Object.entries(await authorization.headersFor(options.auth))) {
      config.headers.set(name, value, false);
    }
    // Found, or told why not, before anything is connected.
    await locator.addressesOfHost(host);
    return Object.assign(config, {
      adapter: 'http',
      proxy: false,
      httpAgent: agents.httpAgent,
      httpsAgent: agents.httpsAgent,
    });
  });
  instance.interceptors.response.use(undefined, (error: unknown) => {
    const cause = error instanceof Error ? error.cause : undefined;
    throw cause instanceof NotDiscoveredError ? cause : error;
  });
  return instance;
}

function hostOf({ baseURL, url, allowAbsoluteUrls }: InternalAxiosRequestConfig): string | undefined {
  const own = url ?? '';
  const isAbsolute = /^[a-z][a-z\d+.-]*:\/\//i.test(own);
  const full = isAbsolute && allowAbsoluteUrls !== false ? own : (baseURL ?? own);
  const match = /^[a-z][a-z\d+.-]*:\/\/(?:[^/?#]*@)?([^/?#:]+)/i.exec(full);
  return match?.[1];
}

/** The part of `fetch` that `asabFetch` has. */
export type AsabFetch = (
  url: string | URL,
  init?: { readonly headers?: unknown; readonly signal?: AbortSignal | null },
) => Promise<Response>;

/** GETs a URL, which may be a discovered address, as `fetch` would. */
export function asabFetch(agents: AsabAgents): AsabFetch {
  return (given, init) => {
    const url = new URL(given);
    const isSecure = url.protocol === 'https:';
    const send = isSecure ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const request = send(
        url,
        {
          agent: isSecure ? agents.httpsAgent : agents.httpAgent,
          headers: {
            accept: 'application/json',
            ...Object.fromEntries(new Headers((init?.headers ?? {}) as ConstructorParameters<typeof Headers>[0])),
          },
          timeout: FETCH_TIMEOUT_MS,
          ...(init?.signal ? { signal: init.signal } : {}),
        },
        (response) => {
          readBody(response).then(
            (body) => resolve(new Response(body, { status: response.statusCode ?? 500 })),
            (error: unknown) => reject(error),
          );
        },
      );
      request.on('timeout', () => request.destroy(new DiscoveryError('TIMEOUT', `${url.host} didn't answer in time`)));
      request.on('error', (error) => {
        const { cause } = error;
        reject(cause instanceof NotDiscoveredError && codeOf(error) !== cause.code ? cause : error);
      });
      request.end();
    });
  };
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      response.destroy();
      throw new DiscoveryError('BACKEND_REFUSED', 'the answer is too long');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The agents of one application, made when they are first needed. */
export class LazyAgents {
  private made: AsabAgents | undefined;

  constructor(private readonly locator: AsabLocator) {}

  get(): AsabAgents {
    this.made ??= asabAgents(this.locator);
    return this.made;
  }

  close(): void {
    this.made?.close();
    this.made = undefined;
  }
}
