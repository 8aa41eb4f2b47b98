import { fileURLToPath } from 'node:url';
import { local } from 'nestjs-service-discovery/local';

/** The folder with the file of the lanes' rules. */
export const CONFIG_DIRECTORY =
  process.env['MICROSERVICES_CONFIG'] ?? fileURLToPath(new URL('../config', import.meta.url));

export const PROTO = fileURLToPath(new URL('../proto/orders.proto', import.meta.url));

/** One definition for registry and configuration. On a real registry this is `consul({ … })`, and nothing else changes. */
export const backend = local({
  namespace: process.env['MICROSERVICES_NAMESPACE'] ?? 'sample-microservices',
  configDirectory: CONFIG_DIRECTORY,
});

/** What all of the apps have in common. */
export const common = {
  registry: backend,
  config: backend,
  http: { routing: { lane: {} } },
  laneRules: 'lanes',
} as const;
