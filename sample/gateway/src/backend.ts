import { fileURLToPath } from 'node:url';
import { local } from 'nestjs-service-discovery/local';

/** The folder with the file of the gateway's routes. */
export const CONFIG_DIRECTORY = fileURLToPath(new URL('../config', import.meta.url));

/** One definition for registry and configuration. On a real registry this is `consul({ … })`, and nothing else changes. */
export const backend = local({ namespace: 'sample-gateway', configDirectory: CONFIG_DIRECTORY });
