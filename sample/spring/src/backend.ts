import { eureka } from 'nestjs-service-discovery/eureka';

/** The server that all meet at: `eval "$(npm run -s servers -- env)"` names one after `npm run servers -- up eureka`. */
export const EUREKA_URL = process.env['EUREKA_URL'] ?? 'http://localhost:8761/eureka';

/** Registry only: Eureka keeps no configuration. Shorter times than the defaults, so that a reader sees something. */
export const registry = eureka({ serviceUrls: EUREKA_URL, fetchIntervalMs: 1000, heartbeatMs: 5000, leaseMs: 15_000 });
