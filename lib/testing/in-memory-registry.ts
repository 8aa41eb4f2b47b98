import { assertDocumentId, formatByExtension, type BackendDefinition } from '../backend/index.js';
import {
  assertServiceName,
  createServiceInstance,
  DiscoveryError,
  type ConfigFormat,
  type ServiceInstance,
  type ServiceInstanceInput,
} from '../model/index.js';
import { defineInMemoryBackend, type InMemoryBackendOptions } from './in-memory-backend.js';
import { InMemoryServer, type InMemoryStats, type StoredDocument, type StoredInstance } from './in-memory-server.js';

/** An instance as a test describes it: everything has a default but the port. */
export interface InMemoryInstanceInput extends Omit<ServiceInstanceInput, 'backend' | 'service' | 'host'> {
  /** @default '127.0.0.1' */
  readonly host?: string;
}

/** What {@link InMemoryRegistry.backend} returns: a definition that knows its registry. */
export interface InMemoryDefinition extends BackendDefinition {
  /** The "server" behind it, with all the handles. */
  readonly registry: InMemoryRegistry;
}

/**
 * A registry and configuration store in this process, with handles to do to it what happens to real ones. Several apps
 * may share one: each gets a `backend()` of its own.
 *
 * ```ts
 * const registry = new InMemoryRegistry();
 * registry.addInstance('STOCK', { port: 8081 });
 * const app = await Test.createTestingModule({ imports: [DiscoveryModule.forRoot({ registry: registry.backend() })] })...
 * registry.fail();      // an outage: lists become stale, nothing is emptied
 * registry.recover();
 * ```
 *
 * Handles take effect at once; what watches it reports in the next microtasks.
 */
export class InMemoryRegistry {
  private readonly server = new InMemoryServer();

  /** The names of all services that have an instance. */
  get services(): readonly string[] {
    return this.server.serviceNames();
  }

  /** Counters, for assertions such as "a hundred reads opened one watch"; a copy. */
  get stats(): InMemoryStats {
    return { ...this.server.stats };
  }

  /** Whether {@link fail} is in force. */
  get failing(): boolean {
    return this.server.failure !== undefined;
  }

  /** All configuration documents; a copy. */
  get documents(): readonly StoredDocument[] {
    return this.server.documents();
  }

  /**
   * A definition for `DiscoveryModule.forRoot({ registry, config })`. Every definition, and every app made from one, is
   * a client of its own of this same registry.
   *
   * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`
   */
  backend(options: InMemoryBackendOptions = {}): InMemoryDefinition {
    return Object.freeze({ ...defineInMemoryBackend(this.server, options), registry: this });
  }

  /** What is registered under `service` at present, by apps and by handles. */
  instancesOf(service: string): readonly ServiceInstance[] {
    return this.server.instancesOf(service).map((stored) => asInstance(service, stored));
  }

  /**
   * Adds an instance, or replaces the one with the same id; it stays until it is removed.
   *
   * @throws DiscoveryError `INVALID_INSTANCE` or `INVALID_NAME`, naming the field
   */
  addInstance(service: string, instance: InMemoryInstanceInput): ServiceInstance {
    const stored = toStored(service, instance);
    this.server.put(service, stored);
    return asInstance(service, stored);
  }

  /**
   * Changes some fields of an instance, also of one that an app registered: its lease keeps it as it then is.
   *
   * @throws DiscoveryError `INVALID_INSTANCE` when there is no such instance or a field is wrong
   */
  updateInstance(
    service: string,
    instanceId: string,
    change: Partial<Omit<InMemoryInstanceInput, 'id'>>,
  ): ServiceInstance {
    const before = this.server.instance(service, instanceId);
    if (before === undefined) {
      const known = this.server.instancesOf(service).map((one) => one.id);
      throw new DiscoveryError(
        'INVALID_INSTANCE',
        `${service} has no instance '${instanceId}' to update; it has ${known.join(', ') || 'none'}`,
        { field: 'instanceId', service },
      );
    }
    const stored = {
      ...toStored(service, { ...before, ...change, id: instanceId }),
      ...(before.owner === undefined ? {} : { owner: before.owner }),
    };
    this.server.put(service, stored);
    return asInstance(service, stored);
  }

  /** Removes an instance for good; true when it was there. An app's own comes back with its next heartbeat. */
  removeInstance(service: string, instanceId: string): boolean {
    return this.server.remove(service, instanceId);
  }

  /** Replaces all instances that handles added, in one step. What apps registered themselves stays. */
  setInstances(service: string, instances: readonly InMemoryInstanceInput[]): readonly ServiceInstance[] {
    const stored = instances.map((instance) => toStored(service, instance));
    this.server.replaceUnowned(service, stored);
    return stored.map((one) => asInstance(service, one));
  }

  /** Loses the record of an instance, as a registry that restarted would: its app registers again when it notices. */
  forget(service: string, instanceId: string): boolean {
    return this.server.remove(service, instanceId);
  }

  /**
   * Begins an outage: every operation rejects, every watch reports the error, and what was known stays known.
   *
   * @param error @default a `BACKEND_UNAVAILABLE`
   */
  fail(error?: Error): void {
    const message = error?.message ?? 'the in-memory registry was told to fail';
    this.server.fail(
      error instanceof DiscoveryError
        ? error
        : new DiscoveryError('BACKEND_UNAVAILABLE', message, error === undefined ? {} : { cause: error }),
    );
  }

  /** Ends the outage: every watch reports its list again, leases that could not be kept are registered again. */
  recover(): void {
    this.server.recover();
  }

  /** From now on operations get no answer, and watches hear nothing. */
  pause(): void {
    this.server.pause();
  }

  /** Ends a {@link pause}: what waited goes on, the latest first, and watches hear of what they missed. */
  resume(): void {
    this.server.resume();
  }

  /**
   * Creates or replaces a configuration document. An app called `orders` reads `application`, `application-<profile>`,
   * `orders` and `orders-<profile>`, each with or without an extension.
   *
   * @param format @default by the extension of `id`, else `yaml`
   */
  setDocument(id: string, text: string, format?: ConfigFormat): void {
    assertDocumentId(id);
    this.server.setDocument(id, text, format ?? formatByExtension(id) ?? 'yaml');
  }

  /** Removes a configuration document; true when it was there. */
  removeDocument(id: string): boolean {
    return this.server.removeDocument(id);
  }
}

/**
 * An in-memory backend with a registry of its own, reachable as `.registry`. For several apps that see each other, make
 * an {@link InMemoryRegistry} and give each app a `backend()` of it, or give all of them this same definition.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`
 */
export function inMemory(options: InMemoryBackendOptions = {}): InMemoryDefinition {
  return new InMemoryRegistry().backend(options);
}

function toStored(service: string, input: InMemoryInstanceInput): StoredInstance {
  assertServiceName(service, 'service');
  const { id, host, scheme, port, status, metadata, tags, weight, zone } = createServiceInstance({
    ...input,
    host: input.host ?? '127.0.0.1',
    service,
    backend: 'in-memory',
  });
  return { id, host, scheme, port, status, metadata, tags, weight, ...(zone === undefined ? {} : { zone }) };
}

function asInstance(service: string, stored: StoredInstance): ServiceInstance {
  return createServiceInstance({ ...stored, service, backend: 'in-memory' });
}
