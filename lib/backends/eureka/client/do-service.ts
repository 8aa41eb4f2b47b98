import { withoutSecrets } from '../../../backend/index.js';
import { describe, DiscoveryError } from '../../../model/index.js';
import { HttpStatusError, type EurekaHttpClient, type EurekaHttpResponse } from './http-client.js';

/** How a service is called. */
export interface DoServiceOptions extends WalkNodesOptions {
  /** @default 'GET' */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body: a text or bytes as they are; anything else as JSON. */
  readonly data?: unknown;
  /** For each node, in milliseconds. @default 5000 */
  readonly timeout?: number;
  /** The body as text, the body parsed as JSON, or the HTTP client's own response. @default 'string' */
  readonly returnType?: 'string' | 'json' | 'response';
}

/** How nodes are walked. */
export interface WalkNodesOptions {
  /** Call nodes by address instead of host name. @default the client's option */
  readonly preferIp?: boolean;
  /** Call the secure port of nodes that have both enabled. @default the client's option */
  readonly preferHttps?: boolean;
  /** Try the next node after an HTTP error too, not only after a failed connection. @default the client's option */
  readonly nextNodeOnHttpError?: boolean;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
}

/** For each node. */
const DEFAULT_CALL_TIMEOUT_MS = 5000;

/**
 * What `doService` does at each node, and what it makes of the answer.
 *
 * @param service for error messages
 */
export function prepareCall(
  http: EurekaHttpClient,
  service: string,
  options: DoServiceOptions,
): {
  readonly call: (url: string) => Promise<EurekaHttpResponse>;
  readonly read: (response: EurekaHttpResponse) => unknown;
} {
  const { method = 'GET', timeout = DEFAULT_CALL_TIMEOUT_MS, returnType = 'string', signal } = options;
  const { data, json } = encodeData(options.data);
  const given = Object.fromEntries(
    Object.entries(options.headers ?? {}).map(([header, value]) => [header.toLowerCase(), value]),
  );
  const headers = {
    ...(json ? { 'content-type': 'application/json' } : {}),
    ...given,
  };
  return {
    async call(url) {
      const response = await http.request({ url, method, headers }, data, timeout, signal);
      if (response.status >= 400)
        throw new HttpStatusError(response.status, response.bodyText, `${method} ${withoutSecrets(url)}`);
      return response;
    },
    read(response) {
      if (returnType === 'response') return response.rawResponse;
      return returnType === 'string' ? response.bodyText : parseJson(response.bodyText, service);
    },
  };
}

function encodeData(data: unknown): { readonly data: string | Uint8Array | undefined; readonly json: boolean } {
  if (data === undefined || typeof data === 'string' || data instanceof Uint8Array) return { data, json: false };
  return { data: JSON.stringify(data), json: true };
}

function parseJson(text: string, service: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DiscoveryError('BACKEND_REFUSED', `${service} answered ${describe(text)}, which is no JSON`, {
      service,
      cause,
    });
  }
}
