import {
  Inject,
  Module,
  Optional,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { peerError } from '../../backend/index.js';
import { DiscoveryTelemetry } from '../../nest/index.js';
import { recordMetrics } from './call-metrics.js';
import { CallSpans, type OpenTelemetryApi } from './call-spans.js';
import { resolveOpenTelemetryOptions, type DiscoveryOpenTelemetryOptions } from './opentelemetry.options.js';

const OPTIONS = Symbol('nestjs-service-discovery:opentelemetry-options');

/**
 * Metrics and spans of discovery. Import it once, in the root module; the SDK must have been started before the app, as
 * OpenTelemetry asks for anyway. Without an SDK nothing is recorded, and calls cost what they cost without this module.
 *
 * @throws DiscoveryError `MISSING_PEER` when the app starts without the package `@opentelemetry/api`
 * @publicApi
 */
@Module({})
export class DiscoveryOpenTelemetryModule implements OnModuleInit, OnApplicationShutdown {
  private readonly options: Required<DiscoveryOpenTelemetryOptions>;
  private readonly stops: (() => void)[] = [];

  /** @internal Made by Nest. */
  constructor(
    @Inject(DiscoveryTelemetry) private readonly telemetry: DiscoveryTelemetry,
    @Optional() @Inject(OPTIONS) options?: DiscoveryOpenTelemetryOptions,
  ) {
    this.options = resolveOpenTelemetryOptions(options ?? {});
  }

  /**
   * The module with options; without it all defaults count.
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  static forRoot(options: DiscoveryOpenTelemetryOptions = {}): DynamicModule {
    resolveOpenTelemetryOptions(options);
    return { module: DiscoveryOpenTelemetryModule, providers: [{ provide: OPTIONS, useValue: options }] };
  }

  async onModuleInit(): Promise<void> {
    const api = await loadApi();
    const { metrics, spans, attemptSpans, maxServices } = this.options;
    if (metrics) this.stops.push(recordMetrics(api, this.telemetry, maxServices));
    if (!spans) return;
    const observer = new CallSpans(api, attemptSpans);
    if (!observer.isOff) this.stops.push(this.telemetry.onCall(observer));
  }

  onApplicationShutdown(): void {
    for (const stop of this.stops.splice(0)) stop();
  }
}

async function loadApi(): Promise<OpenTelemetryApi> {
  try {
    return await import('@opentelemetry/api');
  } catch (error) {
    throw peerError('/opentelemetry', '@opentelemetry/api', error);
  }
}
