/**
 * Health checks of discovery for `@nestjs/terminus` 11 and 12: import {@link DiscoveryHealthModule}, inject
 * {@link DiscoveryHealthIndicator}.
 */
export { DiscoveryHealthModule } from './discovery-health.module.js';
export {
  DiscoveryHealthIndicator,
  type DiscoveryHealthResult,
  type RequirementOptions,
} from './discovery-health.indicator.js';
