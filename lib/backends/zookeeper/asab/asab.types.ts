import type { AsabAddress } from './asab.codec.js';

/** Whoever knows what discovered hosts stand for: an `AsabDiscovery`, or a test's stand-in. */
export interface AsabLocator {
  /** @throws NotDiscoveredError */
  addressesOfHost(host: string, signal?: AbortSignal): Promise<readonly AsabAddress[]>;
}

/** An incoming request, as Express, Fastify, Node's http and fetch have it. */
export interface IncomingRequest {
  readonly headers:
    Readonly<Record<string, string | readonly string[] | undefined>> | { get(name: string): string | null | undefined };
}

/** The `Authorization` of an incoming request, if any. */
export function authorizationOf(request: IncomingRequest): string | undefined {
  const { headers } = request;
  const get = (headers as { readonly get?: unknown }).get;
  const value: unknown =
    typeof get === 'function'
      ? (headers as { get(name: string): unknown }).get('authorization')
      : (headers as Readonly<Record<string, unknown>>)['authorization'];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
