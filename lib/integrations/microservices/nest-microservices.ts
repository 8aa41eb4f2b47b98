import type * as Nest from '@nestjs/microservices';
import { peerError } from '../../backend/index.js';

/** The package `@nestjs/microservices`. */
export type NestMicroservices = typeof Nest;

/**
 * Loads Nest's package, of whatever version the app has.
 * @throws DiscoveryError `MISSING_PEER`, `PEER_UNUSABLE`
 */
export async function loadMicroservices(): Promise<NestMicroservices> {
  try {
    return await import('@nestjs/microservices');
  } catch (error) {
    throw peerError('/microservices', '@nestjs/microservices', error);
  }
}
