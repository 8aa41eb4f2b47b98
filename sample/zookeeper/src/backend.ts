import { asab, zookeeper } from 'nestjs-service-discovery/zookeeper';

/** The servers, as ASAB itself is told of them, or as `npm run servers -- env` tells. */
export const SERVERS = process.env['ASAB_ZOOKEEPER_SERVERS'] ?? process.env['ZOOKEEPER_URL'] ?? 'localhost:2181';

/**
 * One definition for registry and configuration. With `layout: curator()` the same apps meet Spring Cloud's; the
 * `.asab` addresses and the internal authorization are the ASAB layout's.
 */
export const backend = zookeeper({
  servers: SERVERS,
  // Both apps run on this machine, and its name may not lead here.
  layout: asab({ path: process.env['SAMPLE_PATH'] ?? 'sample', host: '127.0.0.1', manifest: false }),
  sessionTimeoutMs: 8000,
});
