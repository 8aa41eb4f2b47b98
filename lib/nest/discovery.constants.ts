const PREFIX = 'nestjs-service-discovery';

/** The options that were given to the module. */
export const DISCOVERY_MODULE_OPTIONS = `${PREFIX}:options`;

/** What sends the app's calls, when it isn't what the options say: a test's choice. */
export const DISCOVERY_TRANSPORT = `${PREFIX}:transport`;

/** Makes an injection token of ours. */
export function tokenOf(kind: string, key: string): string {
  return `${PREFIX}:${kind}:${key}`;
}
