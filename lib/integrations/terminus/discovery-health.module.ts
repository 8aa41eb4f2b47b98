import { Module } from '@nestjs/common';
import { peerError } from '../../backend/index.js';
import { DiscoveryClient } from '../../discovery/index.js';
import { AppRegistration, DiscoveryTelemetry } from '../../nest/index.js';
import { DiscoveryHealthIndicator, type ResultsFor } from './discovery-health.indicator.js';

/** What makes the results, in the app's own version of Terminus. */
const RESULTS = Symbol('nestjs-service-discovery:terminus-results');

/** Loaded when the app starts, so that a missing package is an error that says so. */
async function loadResults(): Promise<ResultsFor> {
  try {
    const { HealthIndicatorService } = await import('@nestjs/terminus');
    const service = new HealthIndicatorService();
    return (key) => service.check(key);
  } catch (error) {
    throw peerError('/terminus', '@nestjs/terminus', error);
  }
}

/**
 * Gives {@link DiscoveryHealthIndicator} to the module that imports it, beside Terminus's own `TerminusModule`.
 *
 * @throws DiscoveryError `MISSING_PEER` when the app starts without the package `@nestjs/terminus`
 * @publicApi
 */
@Module({
  providers: [
    { provide: RESULTS, useFactory: loadResults },
    {
      provide: DiscoveryHealthIndicator,
      useFactory: (...parts: ConstructorParameters<typeof DiscoveryHealthIndicator>) =>
        new DiscoveryHealthIndicator(...parts),
      inject: [RESULTS, AppRegistration, DiscoveryTelemetry, DiscoveryClient],
    },
  ],
  exports: [DiscoveryHealthIndicator],
})
export class DiscoveryHealthModule {}
