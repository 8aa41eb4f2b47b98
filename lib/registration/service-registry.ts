import { createRegistration, DiscoveryError, type InstanceStatus, type RegistrationInput } from '../model/index.js';
import type { DiscoveryEvent } from '../model/index.js';
import type { Lease, NamedDriver, RegistryDriver, RevokeResult } from '../backend/index.js';
import { CompositeLease } from './composite-lease.js';

/** What a {@link ServiceRegistry} needs of its app. */
export interface ServiceRegistryOptions {
  readonly registries: readonly NamedDriver<RegistryDriver>[];
  readonly report: (event: DiscoveryEvent) => void;
  /** The service's name on a backend, when it differs. */
  readonly nameFor?: ((service: string, backend: string) => string) | undefined;
}

/** The write side: what this app has registered, in all of its registries. Injectable. */
export class ServiceRegistry {
  private readonly held = new Set<CompositeLease>();
  private closed = false;

  /** @internal Made by the module. */
  constructor(private readonly options: ServiceRegistryOptions) {}

  /** Everything that this app keeps registered at present, its own service included. */
  get leases(): readonly Lease[] {
    return [...this.held];
  }

  /** @internal The same, registry by registry. */
  get parts(): readonly NamedDriver<Lease>[] {
    return [...this.held].flatMap(({ leases }) => leases);
  }

  /**
   * Begins to keep an instance registered, until its lease is revoked or the app shuts down. Returns at once; await
   * `lease.registered` to know that every registry has it.
   *
   * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME` or `INVALID_INSTANCE`, naming the field; `UNSUPPORTED` when
   * the app has no registry to register in; `BACKEND_CLOSED` once the app is shutting down
   */
  register(input: RegistrationInput): Lease {
    const registration = createRegistration(input);
    const { registries, nameFor, report } = this.options;
    if (this.closed)
      throw new DiscoveryError('BACKEND_CLOSED', `${input.service} can't be registered: the app is shutting down`);
    if (registries.length === 0) {
      throw new DiscoveryError(
        'UNSUPPORTED',
        `${input.service} can't be registered: no backend of this app registers`,
        {
          service: input.service,
          field: 'registry',
        },
      );
    }
    const leases = registries.map(({ backend, driver }) => {
      const service = nameFor?.(registration.service, backend);
      const own = service === undefined ? registration : createRegistration({ ...registration, service });
      return { backend, driver: driver.register(own) };
    });
    const lease = new CompositeLease(
      leases,
      (error) => report({ type: 'listener.failed', where: `lease of ${registration.instanceId}`, error }),
      () => this.held.delete(lease),
    );
    this.held.add(lease);
    return lease;
  }

  /**
   * Sets the status of everything that this app has registered.
   * @throws DiscoveryError as {@link Lease.update}
   */
  async setStatus(status: InstanceStatus): Promise<void> {
    await Promise.all(this.leases.map((lease) => lease.setStatus(status)));
  }

  /** Takes everything back, in parallel, until `signal` aborts; nothing can be registered afterwards. Never rejects. */
  async revokeAll(signal?: AbortSignal): Promise<readonly RevokeResult[]> {
    this.closed = true;
    return Promise.all(this.leases.map((lease) => lease.revoke(signal)));
  }
}
