import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders } from 'node:http';

/**
 * The headers of the request that is being handled, for calls that carry some of them on: of an HTTP request, or whatever a
 * message, a gRPC call or an event brings in their place, with names in lower case. One for each app.
 */
export class IncomingHeaders {
  private readonly storage = new AsyncLocalStorage<IncomingHttpHeaders>();

  /** Handles a request with `handle`, and whatever that starts. */
  within<T>(headers: IncomingHttpHeaders, handle: () => T): T {
    return this.storage.run(headers, handle);
  }

  /** A header of the present request; undefined when it has none of that name, or there is no request. */
  get(name: string): string | undefined {
    const value = this.storage.getStore()?.[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** Whether these are of the present request. */
  isOf(headers: IncomingHttpHeaders): boolean {
    return this.storage.getStore() === headers;
  }

  /** Those of the names that the present request has; undefined when it has none, or there is no request. */
  pick(names: readonly string[]): Record<string, string> | undefined {
    const headers = this.storage.getStore();
    if (headers === undefined) return undefined;
    let picked: Record<string, string> | undefined;
    for (const name of names) {
      const value = headers[name.toLowerCase()];
      if (value === undefined) continue;
      picked ??= {};
      picked[name] = Array.isArray(value) ? value.join(', ') : value;
    }
    return picked;
  }
}
