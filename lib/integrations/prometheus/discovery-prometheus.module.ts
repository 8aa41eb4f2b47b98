import {
  Inject,
  Module,
  Optional,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { checked, integerBetween, satisfying } from '../../backend/machinery/index.js';
import { peerError } from '../../backend/index.js';
import { DiscoveryTelemetry } from '../../nest/index.js';
import { recordMetrics, type PromClient } from './prometheus-metrics.js';

/** A `Registry` of prom-client. */
export interface PrometheusRegistry {
  registerMetric(metric: never): void;
  removeSingleMetric(name: string): void;
}

/** Options of {@link DiscoveryPrometheusModule.forRoot}. */
export interface DiscoveryPrometheusOptions {
  /** Where the metrics are registered. @default prom-client's own `register` */
  readonly registry?: PrometheusRegistry;
  /** Services that metrics tell apart; all others are `other`. @default 1000 */
  readonly maxServices?: number;
}

const CHECKS = {
  registry: satisfying(
    'a Registry of prom-client',
    (value) => typeof (value as Partial<PrometheusRegistry> | null)?.registerMetric === 'function',
  ),
  maxServices: integerBetween(1, 100_000),
};

const OPTIONS = Symbol('nestjs-service-discovery:prometheus-options');

const resolve = (options: DiscoveryPrometheusOptions) =>
  checked('DiscoveryPrometheusModule', options, CHECKS, { maxServices: 1000 });

/**
 * Metrics of discovery in a registry of prom-client, for whatever of the app answers Prometheus. Import it once, in the
 * root module. The metrics are taken out of the registry when the app is closed.
 *
 * @throws DiscoveryError `MISSING_PEER` when the app starts without the package `prom-client`
 * @publicApi
 */
@Module({})
export class DiscoveryPrometheusModule implements OnModuleInit, OnApplicationShutdown {
  private readonly options: ReturnType<typeof resolve>;
  private stop: () => void = () => {};

  /** @internal Made by Nest. */
  constructor(
    @Inject(DiscoveryTelemetry) private readonly telemetry: DiscoveryTelemetry,
    @Optional() @Inject(OPTIONS) options?: DiscoveryPrometheusOptions,
  ) {
    this.options = resolve(options ?? {});
  }

  /**
   * The module with options; without it all defaults count.
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  static forRoot(options: DiscoveryPrometheusOptions = {}): DynamicModule {
    resolve(options);
    return { module: DiscoveryPrometheusModule, providers: [{ provide: OPTIONS, useValue: options }] };
  }

  async onModuleInit(): Promise<void> {
    const client = await loadPromClient();
    const { registry = client.register, maxServices } = this.options;
    this.stop = recordMetrics(client, registry as typeof client.register, this.telemetry, maxServices);
  }

  onApplicationShutdown(): void {
    this.stop();
  }
}

async function loadPromClient(): Promise<PromClient> {
  try {
    return await import('prom-client');
  } catch (error) {
    throw peerError('/prometheus', 'prom-client', error);
  }
}
