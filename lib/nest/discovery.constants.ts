const PREFIX = 'nestjs-service-discovery';

/** The options that were given to the module. */
export const DISCOVERY_MODULE_OPTIONS = `${PREFIX}:options`;

/** Makes an injection token of ours. */
export function tokenOf(kind: string, key: string): string {
  return `${PREFIX}:${kind}:${key}`;
}
