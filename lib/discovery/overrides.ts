import type { DiscoveryDriver, DiscoveryReport, Watch } from '../backend/index.js';
import {
  assertServiceName,
  createServiceInstance,
  describe,
  DiscoveryError,
  messageOf,
  type ServiceInstance,
} from '../model/index.js';

/** Addresses by service: `{ STOCK: 'http://localhost:3001' }`. */
export type OverrideOptions = Readonly<Record<string, string | readonly string[]>>;

/** What instances that stand in for a registry's have as their backend. */
export const OVERRIDES = 'overrides';

/**
 * Addresses that stand in for what the registries say of some services, in this process only: what a developer's laptop calls
 * instead.
 */
export class ServiceOverrides implements DiscoveryDriver {
  readonly emptyIsCertain = true;

  private constructor(private readonly services: ReadonlyMap<string, readonly ServiceInstance[]>) {}

  /**
   * @param options of the module
   * @param text `STOCK=http://localhost:3001,ORDERS=…`, which wins over the options; a service that stands twice has two instances
   * @param basePathMetadata the metadata that holds the path of an address
   * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
   */
  static of(options: OverrideOptions = {}, text = '', basePathMetadata = 'contextPath'): ServiceOverrides {
    const services = new Map<string, readonly ServiceInstance[]>();
    for (const [service, given] of Object.entries(options)) {
      const urls = typeof given === 'string' ? [given] : given;
      const field = `overrides.${service}`;
      services.set(
        service,
        urls.map((url) => instanceAt(service, url, field, basePathMetadata)),
      );
    }
    const named = new Map<string, ServiceInstance[]>();
    for (const entry of text.split(',').filter((one) => one.trim() !== '')) {
      const at = entry.indexOf('=');
      const service = entry.slice(0, at).trim();
      if (at < 1 || service === '')
        throw invalid(ENVIRONMENT, `must look like STOCK=http://localhost:3001,ORDERS=…, got ${describe(entry)}`);
      const instance = instanceAt(service, entry.slice(at + 1).trim(), ENVIRONMENT, basePathMetadata);
      named.set(service, [...(named.get(service) ?? []), instance]);
    }
    for (const [service, instances] of named) services.set(service, instances);
    return new ServiceOverrides(services);
  }

  /** The services, in the order in which they were given. */
  get names(): readonly string[] {
    return [...this.services.keys()];
  }

  has(service: string): boolean {
    return this.services.has(service);
  }

  /** The addresses of a service. */
  urlsOf(service: string): readonly string[] {
    return (this.services.get(service) ?? []).map(({ url }) => url);
  }

  async listServices(): Promise<readonly string[]> {
    return this.names;
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    let closed = false;
    const tell = async (): Promise<void> => {
      await Promise.resolve();
      if (!closed) report({ instances: this.services.get(service) ?? [] });
    };
    void tell();
    return {
      refresh: tell,
      close: async () => {
        closed = true;
      },
    };
  }
}

/** The variable that has them. */
export const ENVIRONMENT = 'DISCOVERY_OVERRIDES';

function instanceAt(service: string, url: string, field: string, basePathMetadata: string): ServiceInstance {
  assertServiceName(service, field);
  if (!URL.canParse(url)) throw invalid(field, `must be a URL, got ${describe(url)}`);
  const { protocol, hostname, port, pathname, search, hash, username, password } = new URL(url);
  if (username !== '' || password !== '') throw invalid(field, 'must have no user and no password');
  if (search !== '' || hash !== '') throw invalid(field, `must have no query and no fragment, got ${describe(url)}`);
  const scheme = protocol.slice(0, -1);
  const defaultPort = DEFAULT_PORTS[scheme];
  if (port === '' && defaultPort === undefined) throw invalid(field, `must have a port, got ${describe(url)}`);
  const path = pathname.replace(/\/+$/, '');
  try {
    return createServiceInstance({
      service,
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (defaultPort ?? 0) : Number(port),
      scheme,
      backend: OVERRIDES,
      metadata: path === '' ? {} : { [basePathMetadata]: path },
    });
  } catch (error) {
    throw invalid(field, `must be the address of an instance: ${messageOf(error)}`);
  }
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

function invalid(field: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `${field} ${problem}`, { field });
}
