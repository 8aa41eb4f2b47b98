import { serverTexts } from '../../../backend/index.js';
import { authority, DiscoveryError } from '../../../model/index.js';

/** One server of an ensemble. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  /** `host:port`, for messages. */
  readonly name: string;
}

/** The port that ZooKeeper servers listen on unless told otherwise. */
const DEFAULT_PORT = 2181;

/** What a connection string says. */
export interface ConnectionString {
  readonly servers: readonly ServerAddress[];
  /** Path that all paths are below of, with a slash in front; undefined for none. */
  readonly chroot?: string;
}

/**
 * Reads ZooKeeper's connection strings: `host:port,host:port/chroot`, the port being 2181 when it is left out, IPv6
 * addresses in brackets. The chroot may be written after every server; then it must be the same, as all are asked for
 * the same tree.
 *
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function parseServers(given: string | readonly string[], field: string): ConnectionString {
  const entries = serverTexts(given, `zookeeper(): ${field}`, field).map((text) => {
    const slash = text.indexOf('/');
    const chroot = slash === -1 ? '' : text.slice(slash).replace(/\/+$/, '');
    return { server: parseServer(slash === -1 ? text : text.slice(0, slash), field), chroot };
  });
  const servers = entries.map(({ server }) => server);
  const chroot = entries.at(-1)?.chroot ?? '';
  const others = new Set(entries.slice(0, -1).map((entry) => entry.chroot));
  if (others.size > 1 || [...others].some((one) => one !== '' && one !== chroot)) {
    throw invalid(field, 'must have one chroot, after the last server or after each: zk1:2181,zk2:2181/apps');
  }
  const unique = new Map(servers.map((server) => [server.name, server]));
  return { servers: [...unique.values()], ...(chroot === '' ? {} : { chroot }) };
}

function parseServer(text: string, field: string): ServerAddress {
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (host === undefined || port < 1 || port > 65535) {
    // What isn't understood may hold a password.
    const shown = text.includes('@') ? 'one that is not' : `'${text}'`;
    throw invalid(field, `must hold addresses such as zookeeper-1:2181 or [::1]:2181, got ${shown}`);
  }
  return { host, port, name: authority(host, port) };
}

function invalid(field: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `zookeeper(): ${field} ${problem}`, { field });
}
