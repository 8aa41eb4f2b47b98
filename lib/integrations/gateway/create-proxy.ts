import { messageOf } from '../../model/index.js';
import type { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import { clientAddress, TrustedNetworks } from './forwarded.js';
import type { ServiceGatewayOptions } from './gateway.options.js';
import type { Incoming } from './incoming.js';
import { ServiceProxy, type ForwardResult } from './service-proxy.js';

/** The proxy of an app. @throws DiscoveryError `INVALID_OPTION` */
export function createProxy(runtime: DiscoveryRuntime, options: ServiceGatewayOptions): ServiceProxy {
  const {
    trustedProxies = [],
    forwardedHeaders = 'both',
    onAccess,
    timeoutMs,
    maxRequestBytes,
    serverTiming,
    host,
  } = options;
  const trusted = trustedProxies.length === 0 ? undefined : new TrustedNetworks(trustedProxies);
  const { routed } = runtime;
  const tell = (incoming: Incoming, result: ForwardResult): void => {
    const { service, status, durationMs, code } = result;
    const told = code === 'CLIENT_GONE' ? 0 : status;
    // What is answered instead of a service says so by its status; the code besides a good one, that the answer broke off.
    routed.ended(incoming.route, service, told, code === 'UPSTREAM_FAILED' && status < 500, durationMs);
    if (onAccess === undefined) return;
    const { request, target, route } = incoming;
    const client = clientAddress(request, trusted);
    try {
      onAccess({
        ...result,
        method: request.method ?? '',
        path: target.replace(/[?#].*$/s, ''),
        ...(client === undefined ? {} : { client }),
        ...(route === undefined ? {} : { route }),
      });
    } catch (error) {
      runtime.logger.error(`the gateway's onAccess failed: ${messageOf(error)}`);
    }
  };
  return new ServiceProxy({
    caller: runtime.carrier(),
    transport: runtime.transport,
    clock: runtime.options.clock,
    lasting: runtime.lasting,
    defaults: {
      trusted,
      forwardedHeaders,
      options: {
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(maxRequestBytes === undefined ? {} : { maxRequestBytes }),
        ...(serverTiming === undefined ? {} : { serverTiming }),
        ...(host === undefined ? {} : { host }),
      },
      onForwarded: tell,
    },
  });
}
