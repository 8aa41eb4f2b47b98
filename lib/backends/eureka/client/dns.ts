import { Resolver } from 'node:dns/promises';
import { describe, DiscoveryError } from '../../../model/index.js';

/** Answers the TXT records of a name, as `dns.promises.resolveTxt` does. */
export type TxtLookup = (name: string) => Promise<readonly (readonly string[])[]>;

/** A look-up at the given name servers, or at the system's. */
export function createTxtLookup(nameServers: readonly string[], timeoutMs: number): TxtLookup {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  if (nameServers.length > 0) resolver.setServers(nameServers);
  return (name) => resolver.resolveTxt(name);
}

const HOST = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$/;
const HOST_AND_PORT = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?(?::\d{1,5})?$/;

/**
 * Looks the servers of a region up: `txt.<region>.<domain>` names the zones, `txt.<host name of a zone>` its servers. A
 * record may hold several texts, or one with blanks; there may be several records.
 *
 * @returns host names by zone; a zone that can't be looked up is left out
 * @throws DiscoveryError `BACKEND_UNAVAILABLE` when no zone has a server
 */
export async function lookUpZones(
  lookup: TxtLookup,
  region: string,
  domain: string,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const zoneHosts = namesIn(await lookup(`txt.${region}.${domain}`), HOST);
  let cause: unknown;
  const found = await Promise.all(
    zoneHosts.map(async (host) => {
      try {
        return { zone: firstLabel(host), servers: namesIn(await lookup(`txt.${host}`), HOST_AND_PORT) };
      } catch (error) {
        cause = error;
        return { zone: firstLabel(host), servers: [] };
      }
    }),
  );
  const zones = new Map(found.filter(({ servers }) => servers.length > 0).map(({ zone, servers }) => [zone, servers]));
  if (zones.size === 0) {
    throw new DiscoveryError(
      'BACKEND_UNAVAILABLE',
      `the TXT records of txt.${region}.${domain} lead to no Eureka server (zones: ${describe(zoneHosts.join(', '))})`,
      { cause },
    );
  }
  return zones;
}

function namesIn(records: readonly (readonly string[])[], form: RegExp): readonly string[] {
  const names = records
    .flat()
    .flatMap((text) => text.split(/\s+/))
    .map((name) => name.replace(/^"+|"+$/g, ''))
    .filter((name) => form.test(name));
  return [...new Set(names.map((name) => name.replace(/\.$/, '')))];
}

function firstLabel(host: string): string {
  return host.split('.')[0] ?? host;
}
