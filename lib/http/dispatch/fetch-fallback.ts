import { AxiosHeaders, type InternalAxiosRequestConfig } from 'axios';
import type { ResolvedCallOptions } from '../call-options.js';

/** What a fallback gives in the place of an answer, as `fetch` gives answers: JSON, unless it is a body, or a `Response`, already. */
export async function fetchFallback(
  fallback: NonNullable<ResolvedCallOptions['fallback']>,
  error: unknown,
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  const data = await fallback(error, configOf(input, init));
  if (data instanceof Response) return data;
  const how = { status: 200, statusText: 'OK (fallback)' };
  return data === undefined || data === null || isBody(data) ? new Response(data, how) : Response.json(data, how);
}

/** The request, as fallbacks of all calls are given it. */
function configOf(input: string | URL | Request, init: RequestInit): InternalAxiosRequestConfig {
  const request = input instanceof Request ? input : undefined;
  const headers = new Headers(init.headers ?? request?.headers);
  return {
    url: input instanceof Request ? input.url : input.toString(),
    method: (init.method ?? request?.method ?? 'GET').toLowerCase(),
    headers: new AxiosHeaders(Object.fromEntries(headers)),
    data: init.body ?? undefined,
  };
}

function isBody(data: unknown): data is NonNullable<ConstructorParameters<typeof Response>[0]> {
  return (
    typeof data === 'string' ||
    data instanceof Uint8Array ||
    data instanceof ArrayBuffer ||
    data instanceof Blob ||
    data instanceof FormData ||
    data instanceof URLSearchParams ||
    data instanceof ReadableStream
  );
}
