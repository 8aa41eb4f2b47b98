import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { checked, listOf, milliseconds, recordOf, text, type Resolved } from '../../backend/index.js';
import {
  assertName,
  assertServiceName,
  createServiceInstance,
  describe,
  DiscoveryError,
  messageOf,
  toFileName,
  type ServiceInstance,
} from '../../model/index.js';

/** Options of {@link local}. */
export interface LocalOptions {
  /** Unique within an app. @default 'local' */
  readonly name?: string;
  /**
   * Where the processes of this machine meet: a folder that belongs to the present user and is open to nobody else. It
   * is created when it doesn't exist.
   * @default `<os temp folder>/nestjs-service-discovery-<uid>`
   */
  readonly directory?: string;
  /** Apps see each other within one namespace only. @default 'default' */
  readonly namespace?: string;
  /**
   * How long an instance is believed without a sign of life, in milliseconds; it gives one at every third of that.
   * Processes on this host that died are noticed at once, whatever this says.
   * @default 15000
   */
  readonly leaseMs?: number;
  /**
   * How often everything is read anew although no event came, in milliseconds. Where the file system gives no events,
   * changes are seen this late.
   * @default 2000
   */
  readonly pollMs?: number;
  /** Folder with the configuration files. A missing one is empty, and is noticed when it appears. @default `<cwd>/config` */
  readonly configDirectory?: string;
  /**
   * Instances that are given besides those that register: service name → base URLs, without user, password, path or
   * query.
   * @default {}
   */
  readonly instances?: Readonly<Record<string, readonly string[]>>;
}

/** Options after defaults and checks. */
export interface LocalSettings extends Omit<Resolved<LocalOptions, typeof DEFAULTS>, 'directory' | 'instances'> {
  readonly directory: string;
  readonly instances: ReadonlyMap<string, readonly ServiceInstance[]>;
}

const CHECKS = {
  name: text,
  directory: text,
  namespace: text,
  leaseMs: milliseconds(100),
  pollMs: milliseconds(10),
  configDirectory: text,
  instances: recordOf(listOf(text)),
};

const DEFAULTS = {
  name: 'local',
  namespace: 'default',
  leaseMs: 15_000,
  pollMs: 2000,
  configDirectory: 'config',
  instances: {},
} satisfies LocalOptions;

/** Ports that a URL of the scheme may leave out. */
const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  ['ws', 80],
  ['wss', 443],
]);

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME` or `INVALID_INSTANCE`, naming the field
 */
export function resolveLocalOptions(options: LocalOptions): LocalSettings {
  const given = checked('local()', options, CHECKS, DEFAULTS);
  const { name, namespace, directory = defaultDirectory(), configDirectory, instances } = given;
  assertName(name, 'name');
  assertName(namespace, 'namespace');
  toFileName(namespace, 'namespace');
  return Object.freeze({
    ...given,
    directory: resolve(directory),
    configDirectory: resolve(configDirectory),
    instances: staticInstances(name, instances),
  });
}

/** Per user, so that the first user of a machine doesn't lock the others out. */
function defaultDirectory(): string {
  const user = process.getuid?.() ?? toFileName(userInfo().username, 'user name');
  return join(tmpdir(), `nestjs-service-discovery-${user}`);
}

function staticInstances(
  backend: string,
  given: Readonly<Record<string, readonly string[]>>,
): ReadonlyMap<string, readonly ServiceInstance[]> {
  const services = new Map<string, readonly ServiceInstance[]>();
  for (const [service, urls] of Object.entries(given)) {
    assertServiceName(service, `instances.${service}`);
    const byUrl = new Map<string, ServiceInstance>();
    urls.forEach((url, index) => {
      const instance = staticInstance(backend, service, url, `instances.${service}[${index}]`);
      byUrl.set(instance.url, instance);
    });
    services.set(service, Object.freeze([...byUrl.values()]));
  }
  return services;
}

function staticInstance(backend: string, service: string, given: string, field: string): ServiceInstance {
  const refuse = (problem: string, cause?: unknown): DiscoveryError =>
    new DiscoveryError('INVALID_INSTANCE', `local(): ${field} ${problem}`, { field, service, cause });
  if (!URL.canParse(given)) {
    // A text that isn't understood may hold a password anywhere: it is shown only when there can be none.
    const shown = given.includes('@') ? '' : `, got ${describe(given)}`;
    throw refuse(`must be a base URL with a port up to 65535, such as http://10.0.0.5:8080${shown}`);
  }
  const url = new URL(given);
  if (url.username !== '' || url.password !== '') throw refuse('must not contain a user or a password');
  if (url.search !== '' || url.hash !== '') throw refuse('must not contain a query or a fragment');
  if (url.pathname !== '' && url.pathname !== '/') {
    throw refuse(`must not contain a path (put it into the calls), got ${describe(url.pathname)}`);
  }
  const scheme = url.protocol.slice(0, -1);
  const port = url.port === '' ? DEFAULT_PORTS.get(scheme) : Number(url.port);
  if (port === undefined) throw refuse(`needs a port, as ${scheme} has no usual one`);
  try {
    return createServiceInstance({ service, host: url.hostname.replace(/^\[|\]$/g, ''), port, scheme, backend });
  } catch (error) {
    throw refuse(`is no instance: ${messageOf(error)}`, error);
  }
}
