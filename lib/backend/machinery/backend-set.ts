import { DiscoveryError } from '../../model/index.js';
import type { Backend, BackendContext, BackendDefinition } from '../port/backend.js';
import type { ConfigDriver } from '../port/config-driver.js';
import type { DiscoveryDriver } from '../port/discovery-driver.js';
import type { RegistryDriver } from '../port/registry-driver.js';

/** What an app uses a backend for. */
export interface BackendUse {
  readonly definition: BackendDefinition;
  readonly register: boolean;
  readonly discover: boolean;
  readonly config: boolean;
}

/** A driver, and the name of the backend it belongs to. */
export interface NamedDriver<D> {
  readonly backend: string;
  readonly driver: D;
}

/**
 * The backends of one app: one for each definition, however many uses it has, opened and closed together.
 */
export class BackendSet {
  /** In the order in which they were given: the first decides. */
  readonly all: readonly Backend[];
  readonly registries: readonly NamedDriver<RegistryDriver>[];
  readonly discoveries: readonly NamedDriver<DiscoveryDriver>[];
  readonly configs: readonly NamedDriver<ConfigDriver>[];

  /**
   * @throws DiscoveryError `DUPLICATE_BACKEND` for two definitions of one name; `UNSUPPORTED` when a product is asked
   * for what it lacks
   */
  constructor(uses: readonly BackendUse[], contextFor: (definition: BackendDefinition) => BackendContext) {
    const created = new Map<BackendDefinition, Backend>();
    for (const { definition } of uses) {
      if (created.has(definition)) continue;
      for (const other of created.keys()) {
        if (other.name === definition.name) {
          throw new DiscoveryError(
            'DUPLICATE_BACKEND',
            other.kind === definition.kind
              ? `there are two ${definition.kind} backends called '${definition.name}': use one definition for both (const backend = ${definition.kind}(…)), or give one of them another \`name\``
              : `two backends are called '${definition.name}': give one of them another \`name\``,
            { backend: definition.name, field: 'name' },
          );
        }
      }
      created.set(definition, definition.create(contextFor(definition)));
    }
    this.all = [...created.values()];
    const pick = <D>(use: (use: BackendUse) => boolean, field: string, driverOf: (backend: Backend) => D | undefined) =>
      uses.filter(use).flatMap(({ definition }) => {
        const driver = driverOf(created.get(definition) as Backend);
        if (driver !== undefined) return [{ backend: definition.name, driver }];
        throw new DiscoveryError(
          'UNSUPPORTED',
          `${definition.name} can't be used for ${field}: ${definition.kind} has no such feature`,
          {
            backend: definition.name,
            field,
          },
        );
      });
    this.registries = pick(
      (use) => use.register,
      'registration',
      (backend) => backend.registry,
    );
    this.discoveries = pick(
      (use) => use.discover,
      'discovery',
      (backend) => backend.discovery,
    );
    this.configs = pick(
      (use) => use.config,
      'config',
      (backend) => backend.config,
    );
  }

  /** Opens all; when one can't be opened the others are closed again and its error is thrown. */
  async open(): Promise<void> {
    const results = await Promise.allSettled(this.all.map((backend) => backend.open()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    await this.close();
    throw failed.reason;
  }

  /** Closes all. Never rejects. */
  async close(): Promise<void> {
    await Promise.allSettled(this.all.map((backend) => backend.close()));
  }
}
