import { AxiosTransport } from './axios-transport.js';
import type { HttpTransport } from './http-transport.js';
import { PooledTransport } from './pooled-transport.js';
import type { HttpTransportOptions } from './transport.options.js';

/**
 * What sends an app's calls. Opens nothing yet.
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function openTransport({ client = 'undici', ...options }: HttpTransportOptions): HttpTransport {
  return client === 'axios' ? new AxiosTransport(options) : new PooledTransport(options);
}

/** The connections of undici's that go with a transport: its own, or, where it has none, some beside it. */
export function openPools(transport: HttpTransport, options: HttpTransportOptions): PooledTransport {
  return transport instanceof PooledTransport ? transport : new PooledTransport(options);
}
