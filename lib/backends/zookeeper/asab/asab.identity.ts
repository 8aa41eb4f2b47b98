import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../../backend/index.js';
import { codeOf, DiscoveryError, isPrototypeKey, messageOf, type Registration } from '../../../model/index.js';
import { parseObject } from '../json.js';
import type { AsabFacts } from './asab.codec.js';
import type { AsabSettings } from './asab.options.js';

const MANIFEST = 'MANIFEST.json';

/** Ids that others can use in an address; ASAB wants them in lower case. */
const USUAL_ID = /^[a-z0-9_][a-z0-9_.-]*$/;

/** Who this application is, for its records and its tokens. */
export class AsabIdentity {
  private readonly manifest: Readonly<Record<string, unknown>>;
  private readonly launchTime = launchTime();
  private readonly containerized = isContainerized();
  /** Custom ids, which change at run time. */
  readonly discovery: Map<string, readonly string[]>;

  /** @throws DiscoveryError `INVALID_OPTION` when the manifest that was named can't be read */
  constructor(
    private readonly settings: AsabSettings,
    logger: Logger,
    backend: string,
  ) {
    this.manifest = readManifest(settings.manifest);
    this.discovery = new Map(Object.entries(settings.discovery).map(([type, ids]) => [type, Object.freeze([...ids])]));
    const { serviceId } = settings;
    if (serviceId !== undefined && !USUAL_ID.test(serviceId)) {
      logger.warn(`${backend}: the service id '${serviceId}' should be lower-case letters, digits, dots, - and _`);
    }
  }

  /** The name that others dial this machine by. */
  hostFor(registration?: Registration): string {
    const { host } = this.settings;
    if (typeof host === 'string') return host;
    return (registration === undefined ? undefined : host?.(registration)) ?? hostname();
  }

  /** The prefix of the node's name, without the dot. */
  appClassFor(registration: Registration): string {
    return this.settings.appClass ?? registration.service;
  }

  factsFor(registration: Registration): AsabFacts {
    const { listen, version } = this.settings;
    return {
      host: this.hostFor(registration),
      appClass: this.appClassFor(registration),
      launchTime: this.launchTime,
      processId: process.pid,
      containerized: this.containerized,
      ids: this.idsFor(registration),
      manifest: this.manifest,
      version,
      discovery: this.discovery,
      listen: listen ?? boundAddresses(registration.boundTo),
    };
  }

  idsFor(registration: Registration): AsabFacts['ids'] {
    const { nodeId, serviceId, instanceId, siteId } = this.settings;
    const { service, host, port } = registration;
    const chosen = registration.instanceId === `${service}:${host}:${port}` ? undefined : registration.instanceId;
    const instance = instanceId ?? chosen;
    return {
      ...(instance === undefined ? {} : { instance_id: instance }),
      ...(nodeId === undefined ? {} : { node_id: nodeId }),
      service_id: serviceId ?? service,
      ...(siteId === undefined ? {} : { site_id: siteId }),
    };
  }

  /** The address under which others find this application: the issuer of its tokens. */
  ownUrl(registration: Registration | undefined): string {
    const { instanceId, serviceId } = this.settings;
    const ids = registration === undefined ? {} : this.idsFor(registration);
    const instance = instanceId ?? ids.instance_id;
    if (instance !== undefined) return `http://${instance}.instance_id.asab`;
    const service = serviceId ?? ids.service_id;
    return service === undefined ? `http://${this.hostFor(registration)}` : `http://${service}.service_id.asab`;
  }
}

/** A server on `::` takes IPv4 too, and ASAB writes each. */
function boundAddresses(bound: readonly string[] = ['0.0.0.0']): readonly string[] {
  return [...new Set(bound.flatMap((address) => (address === '::' ? ['0.0.0.0', '::'] : [address])))];
}

/** When this process began, in ASAB's form: UTC with microseconds. */
export function launchTime(origin = performance.timeOrigin): string {
  const micros = Math.floor((origin - Math.floor(origin)) * 1000);
  return new Date(Math.floor(origin)).toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`);
}

/** What the engines leave in the root of what they run. */
const MARKERS = ['/.dockerenv', '/run/.containerenv'];

/** Engines by the names that their control groups and layers have. */
const ENGINES = /docker|kubepods|containerd|libpod|crio|containers\/storage|lxc/;

/**
 * True inside Docker, Podman, containerd, CRI-O, LXC and Kubernetes. A container that has a cgroup namespace of its own,
 * as is usual with version 2, sees no name there: the layers of its root still tell.
 *
 * @param root where `/` is, for tests
 */
export function isContainerized(root = '/', environment: NodeJS.ProcessEnv = process.env): boolean {
  if (environment['KUBERNETES_SERVICE_HOST'] !== undefined || (environment['container'] ?? '') !== '') return true;
  if (MARKERS.some((file) => existsSync(join(root, file)))) return true;
  const read = (file: string): string => {
    try {
      return readFileSync(join(root, file), 'utf8');
    } catch {
      return '';
    }
  };
  const layers = /^\d+ \d+ \S+ \S+ \/ .* - overlay .*$/m.exec(read('proc/self/mountinfo'))?.[0] ?? '';
  return ENGINES.test(read('proc/1/cgroup')) || ENGINES.test(layers);
}

/** @throws DiscoveryError `INVALID_OPTION` when a file that was named is missing, or any that is there is no JSON object */
export function readManifest(file: string | false | undefined): Readonly<Record<string, unknown>> {
  if (file === false) return {};
  const candidates = file === undefined ? ['/app', '/', process.cwd()].map((folder) => join(folder, MANIFEST)) : [file];
  for (const candidate of candidates) {
    try {
      const manifest = parseObject(readFileSync(candidate));
      return Object.fromEntries(Object.entries(manifest).filter(([key]) => !isPrototypeKey(key)));
    } catch (error) {
      if (file === undefined && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(codeOf(error) ?? '')) continue;
      throw new DiscoveryError('INVALID_OPTION', `the manifest ${candidate} can't be read: ${messageOf(error)}`, {
        field: 'layout.manifest',
        cause: error,
      });
    }
  }
  return {};
}
