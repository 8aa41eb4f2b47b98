import {
  either,
  listOf,
  literal,
  milliseconds,
  object,
  oneOf,
  recordOf,
  text,
  callable,
  type Check,
} from '../../../backend/index.js';
import type { Registration } from '../../../model/index.js';
import { normalizePath } from '../client/paths.js';

/** Options of {@link asab}. */
export interface AsabLayoutOptions {
  /** Base path; only apps with the same one see each other. @default 'asab' */
  readonly path?: string;
  /** The application's class, which its node's name begins with. @default the service's name */
  readonly appClass?: string;
  /**
   * The address that others dial; a function chooses it for each registration.
   * @default `ASAB_HOSTNAME`, else the machine's host name
   */
  readonly host?: string | ((registration: Registration) => string);
  /** Id of the cluster node. @default `NODE_ID` */
  readonly nodeId?: string;
  /** Id of the service, by which others find it. @default `SERVICE_ID`, else the service's name */
  readonly serviceId?: string;
  /**
   * Id of this instance. @default `INSTANCE_ID`, else the registration's own instance id when one was chosen, else none
   */
  readonly instanceId?: string;
  /** Id of the site. @default `SITE_ID` */
  readonly siteId?: string;
  /**
   * What the server listens on, for the record's `web`. ASAB's clients call only what listens on all addresses.
   * @default what the Nest server is bound to (`::` is both families'), else `['0.0.0.0']`
   */
  readonly listen?: readonly ('0.0.0.0' | '::')[];
  /**
   * File with the build's facts (version, created_at, CI_COMMIT_TAG …), merged into the record; false for none.
   * @default the first MANIFEST.json of `/app`, `/` and the working directory
   */
  readonly manifest?: string | false;
  /** The version in the record, when the manifest has none. */
  readonly version?: string;
  /** Ids of one's own at the start: id type → ids. @default {} */
  readonly discovery?: Readonly<Record<string, readonly string[]>>;
  /** How long the first question waits for the first scan, in milliseconds. @default 600000 */
  readonly readyTimeoutMs?: number;
  /**
   * The `Authorization` of calls that have none: the incoming request's (`forward`), the cluster's internal token
   * (`internal`: superuser rights), or none. @default 'forward'
   */
  readonly authorization?: 'forward' | 'internal' | 'none';
}

/** {@link AsabLayoutOptions} after defaults. */
export interface AsabSettings {
  readonly path: string;
  readonly appClass: string | undefined;
  readonly host: string | ((registration: Registration) => string) | undefined;
  readonly nodeId: string | undefined;
  readonly serviceId: string | undefined;
  readonly instanceId: string | undefined;
  readonly siteId: string | undefined;
  readonly listen: readonly ('0.0.0.0' | '::')[] | undefined;
  readonly manifest: string | false | undefined;
  readonly version: string | undefined;
  readonly discovery: Readonly<Record<string, readonly string[]>>;
  readonly readyTimeoutMs: number;
  readonly authorization: 'forward' | 'internal' | 'none';
}

/** TeskaLabs ASAB's layout: one JSON record an application, in one list, found by any of its ids. */
export interface AsabLayout {
  readonly kind: 'asab';
  readonly options: AsabLayoutOptions;
}

/**
 * TeskaLabs ASAB's layout, in both directions: apps of either side find and call each other.
 *
 * ```ts
 * zookeeper({ servers: 'zookeeper-1:2181', layout: asab({ appClass: 'MyApp' }) });
 * ```
 */
export function asab(options: AsabLayoutOptions = {}): AsabLayout {
  return Object.freeze({ kind: 'asab', options });
}

/** The checks of the layout's options. */
export const asabChecks: Check = object({
  path: text,
  appClass: text,
  host: either('a text or a function', text, callable),
  nodeId: text,
  serviceId: text,
  instanceId: text,
  siteId: text,
  listen: listOf(oneOf('0.0.0.0', '::')),
  manifest: either('a file name or false', text, literal(false)),
  version: text,
  discovery: recordOf(listOf(text)),
  readyTimeoutMs: milliseconds(1),
  authorization: oneOf('forward', 'internal', 'none'),
});

/**
 * Fills in the defaults of options that were checked.
 * @throws DiscoveryError `INVALID_NAME`
 */
export function resolveAsabOptions(options: AsabLayoutOptions, environment = process.env): AsabSettings {
  const from = (value: string | undefined, variable: string): string | undefined => {
    const found = value ?? environment[variable];
    return found === undefined || found === '' ? undefined : found;
  };
  const settings: AsabSettings = {
    path: normalizePath(options.path ?? 'asab', 'layout.path'),
    appClass: options.appClass,
    host: options.host ?? from(undefined, 'ASAB_HOSTNAME'),
    nodeId: from(options.nodeId, 'NODE_ID'),
    serviceId: from(options.serviceId, 'SERVICE_ID'),
    instanceId: from(options.instanceId, 'INSTANCE_ID'),
    siteId: from(options.siteId, 'SITE_ID'),
    listen: options.listen,
    manifest: options.manifest,
    version: options.version,
    discovery: options.discovery ?? {},
    readyTimeoutMs: options.readyTimeoutMs ?? 600_000,
    authorization: options.authorization ?? 'forward',
  };
  return Object.freeze(settings);
}
