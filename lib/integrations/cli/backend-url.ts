import type { BackendDefinition } from '../../backend/index.js';
import { describe } from '../../model/index.js';
import { UsageError } from './command-io.js';

/** The factories of a wing's public entry. */
type Wing = Readonly<Record<string, (options?: object) => unknown>>;

/** A backend as it is written on a command line, in parts. */
interface Address {
  readonly url: URL;
  /** `host:port`, several separated by commas. */
  readonly hosts: readonly string[];
  readonly path: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly query: URLSearchParams;
}

/** How each kind of address becomes a backend. */
const KINDS: Readonly<Record<string, (address: Address) => Promise<unknown>>> = {
  consul: async ({ hosts, password, query }) => {
    const { consul } = await wing('consul');
    const scheme = query.get('tls') === 'true' ? 'https' : 'http';
    return consul?.({
      ...(hosts[0] === undefined ? {} : { address: `${scheme}://${hosts[0]}` }),
      ...given('token', query.get('token') ?? password),
      ...given('datacenter', query.get('dc')),
    });
  },
  'eureka+http': eurekaBackend,
  'eureka+https': eurekaBackend,
  nacos: async ({ hosts, user, password, query }) => {
    const { nacos } = await wing('nacos');
    return nacos?.({
      ...(hosts.length === 0 ? {} : { serverAddresses: hosts }),
      ...given('username', user),
      ...given('password', password),
      ...given('namespace', query.get('namespace')),
      ...given('group', query.get('group')),
      ...given('protocol', query.get('protocol')),
    });
  },
  nats: async ({ hosts, user, password }) => {
    const { nats } = await wing('nats');
    return nats?.({
      ...(hosts.length === 0 ? {} : { servers: hosts }),
      ...(password === undefined
        ? given('token', user)
        : { ...given('username', user), ...given('password', password) }),
    });
  },
  zk: async ({ hosts, path, query }) => {
    const entry = await wing('zookeeper');
    const layout = query.get('layout') ?? 'curator';
    const create = layout === 'asab' || layout === 'curator' ? entry[layout] : undefined;
    if (create === undefined) throw new UsageError(`layout must be asab or curator, got ${describe(layout)}`);
    const servers = `${hosts.join(',')}${path === '/' ? '' : path}`;
    return entry['zookeeper']?.({ ...(servers === '' ? {} : { servers }), layout: create() });
  },
};

/** What may be given as the address of a backend. */
export const BACKEND_URLS = [
  'consul://host:8500?token=…&dc=…',
  'eureka+http://host:8761/eureka',
  'nacos://user:password@host:8848?namespace=…',
  'nats://host:4222',
  'zk://host1,host2/chroot?layout=curator (or asab)',
  'dns:{service}.example.com',
  'local: or local:/folder?config=/folder',
] as const;

/**
 * The backend of an address.
 * @throws UsageError for what is none; DiscoveryError `INVALID_OPTION`, `MISSING_PEER`
 */
export async function backendOf(text: string): Promise<BackendDefinition> {
  const [, kind = '', rest = ''] = /^([a-z+]+):(.*)$/is.exec(text) ?? [];
  if (kind === 'local') return localBackend(rest);
  if (kind === 'dns')
    return (await wing('dns'))['dns']?.({ ...given('pattern', rest.replace(/^\/\//, '')) }) as BackendDefinition;
  const create = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (create === undefined) {
    throw new UsageError(
      `${describe(text)} is no address of a registry; they look like\n  ${BACKEND_URLS.join('\n  ')}`,
    );
  }
  return (await create(addressOf(kind, rest))) as BackendDefinition;
}

async function eurekaBackend({ url, hosts, path, user, password }: Address): Promise<unknown> {
  const { eureka } = await wing('eureka');
  const scheme = url.protocol.replace(/:$/, '');
  return eureka?.({
    ...(hosts.length === 0
      ? {}
      : { serviceUrls: hosts.map((host) => `${scheme}://${host}${path === '/' ? '/eureka' : path}`) }),
    ...given('username', user),
    ...given('password', password),
  });
}

async function localBackend(rest: string): Promise<BackendDefinition> {
  const [directory = '', query = ''] = rest.replace(/^\/\//, '').split('?', 2);
  const { local } = await wing('local');
  const config = new URLSearchParams(query).get('config');
  return local?.({
    ...(directory === '' ? {} : { directory }),
    ...given('configDirectory', config),
  }) as BackendDefinition;
}

/** URLs of schemes that nobody knows are parsed by other rules, and those with several hosts by none. */
function addressOf(kind: string, rest: string): Address {
  const scheme = kind.endsWith('https') ? 'https' : 'http';
  const [, credentials = '', hostList = '', tail = ''] = /^(?:\/\/)?(?:([^@/?]*)@)?([^/?]*)(.*)$/s.exec(rest) ?? [];
  const hosts = hostList.split(',').filter((host) => host !== '');
  let url: URL;
  try {
    url = new URL(`${scheme}://${credentials === '' ? '' : `${credentials}@`}${hosts[0] ?? 'localhost'}${tail}`);
  } catch {
    throw new UsageError(`${describe(`${kind}:${rest}`)} is no URL`);
  }
  const { pathname, username, password, searchParams } = url;
  return {
    url,
    hosts,
    path: pathname,
    user: username === '' ? undefined : decodeURIComponent(username),
    password: password === '' ? undefined : decodeURIComponent(password),
    query: searchParams,
  };
}

function given(name: string, value: string | null | undefined): Readonly<Record<string, string>> {
  return value === null || value === undefined || value === '' ? {} : { [name]: value };
}

/** Loaded at run time, by its public entry: whoever has only one backend's package needs no other. */
async function wing(name: string): Promise<Wing> {
  const entry = `nestjs-service-discovery/${name}`;
  return (await import(entry)) as Wing;
}
