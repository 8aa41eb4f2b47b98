/** Metrics of discovery for `prom-client`: import {@link DiscoveryPrometheusModule}. */
export {
  DiscoveryPrometheusModule,
  type DiscoveryPrometheusOptions,
  type PrometheusRegistry,
} from './discovery-prometheus.module.js';
