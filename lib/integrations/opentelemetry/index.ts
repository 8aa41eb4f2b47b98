/**
 * Metrics and traces of discovery for OpenTelemetry, by its API alone: import {@link DiscoveryOpenTelemetryModule}; the
 * app's own SDK decides what becomes of them.
 */
export { DiscoveryOpenTelemetryModule } from './discovery-opentelemetry.module.js';
export { discoverySpanAttributes } from './attempt-context.js';
export type { AttemptSpans, DiscoveryOpenTelemetryOptions } from './opentelemetry.options.js';
