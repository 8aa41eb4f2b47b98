import { fileURLToPath } from 'node:url';
import { local } from 'nestjs-service-discovery/local';

/** The folder whose files are the configuration of all three processes. */
export const CONFIG_DIRECTORY =
  process.env['QUICKSTART_CONFIG'] ?? fileURLToPath(new URL('../config', import.meta.url));

/** One definition for registry and configuration. On a real registry this is `consul({ … })`, and nothing else changes. */
export const backend = local({
  namespace: process.env['QUICKSTART_NAMESPACE'] ?? 'quickstart',
  configDirectory: CONFIG_DIRECTORY,
});
