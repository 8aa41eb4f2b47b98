import { AsyncLocalStorage } from 'node:async_hooks';
import type { ObservedAttempt } from '../../observability/index.js';

/** What a span of a try says of it. */
export type AttemptAttributes = Readonly<Record<string, string | number>>;

/** The try that is being sent: for instrumentations of what sends it. Empty while there are none. */
const current = new AsyncLocalStorage<AttemptAttributes>();

/** Sends a try so that {@link discoverySpanAttributes} knows of it. */
export function sendKnown<T>(attributes: AttemptAttributes, send: () => T): T {
  return current.run(attributes, send);
}

/** By OpenTelemetry's conventions, where there is one. */
export function attemptAttributes(
  service: string,
  { reason, resendCount, instance }: ObservedAttempt,
): AttemptAttributes {
  return {
    'service.peer.name': service,
    'service_discovery.attempt.reason': reason,
    'service_discovery.instance.id': instance.id,
    ...(resendCount === 0 ? {} : { 'http.request.resend_count': resendCount }),
    ...(instance.zone === undefined ? {} : { 'service_discovery.instance.zone': instance.zone }),
  };
}

/**
 * For the undici instrumentation, so that its spans say which service was called, and the how manieth try they are:
 * `new UndiciInstrumentation({ startSpanHook: discoverySpanAttributes })`. Nothing for requests that are not calls to a
 * service, and while `DiscoveryOpenTelemetryModule` isn't imported.
 *
 * @param _request as the instrumentation has it
 */
export function discoverySpanAttributes(_request: object): Record<string, string | number> {
  return { ...current.getStore() };
}
