import type { ConfigClient, ConfigData, ConfigExplanation } from '../../config/index.js';
import type { DiscoveryModuleOptions } from '../discovery-options.interface.js';
import { DiscoveryRuntime } from '../discovery-runtime.js';
import { resolveOptions } from '../resolve-options.js';

/** The configuration before there is an app. Live until it is closed; what it had then can still be read. */
export class LoadedConfig {
  /** @internal Made by {@link loadConfig}. */
  constructor(private readonly runtime: { readonly config: ConfigClient; close(): Promise<void> }) {}

  /** Every key that has a value, sorted. */
  get keys(): readonly string[] {
    return this.runtime.config.keys;
  }

  /**
   * The value of a key, or the object of the keys below it. With a default, a configured text becomes the default's type.
   * @throws DiscoveryError `CONFIG_VALUE_INVALID` when it can't
   */
  get(key: string): ConfigData | undefined;
  get<T>(key: string, defaultValue: T): T;
  get(key: string, defaultValue?: unknown): unknown {
    return this.runtime.config.get(key, defaultValue);
  }

  /** Why a key has the value that it has; secrets are masked. */
  explain(key: string): ConfigExplanation {
    return this.runtime.config.explain(key);
  }

  /** Ends its watches and connections. Never rejects; may be called again. */
  close(): Promise<void> {
    return this.runtime.close();
  }
}

/**
 * Loads the configuration before `NestFactory.create`, for apps whose modules depend on it:
 *
 * ```ts
 * const config = await loadConfig(options);
 * const app = await NestFactory.create(AppModule.with(options, config.get('features.audit', false)));
 * await config.close();
 * ```
 *
 * @param options those of `DiscoveryModule.forRoot`, of which those of configuration count: `config`, `configOptions`, `profiles`,
 * `service.name`, `snapshotDirectory`. A `registry` is only asked where servers of configuration are, and nothing registers.
 * @throws DiscoveryError as the start of an app: `INVALID_OPTION`, `CONFIG_UNAVAILABLE`, `CONFIG_DOCUMENT_INVALID`,
 * `CONFIG_VALUE_INVALID`; nothing is left open then
 */
export async function loadConfig(options: DiscoveryModuleOptions = {}): Promise<LoadedConfig> {
  const resolved = resolveOptions(options);
  const uses = resolved.uses
    .filter(({ config }) => config || options.registry !== undefined)
    .map((use) => ({ ...use, register: false }));
  const isLocalInProduction = resolved.isLocalInProduction && options.config === undefined;
  return new LoadedConfig(await DiscoveryRuntime.start({ ...resolved, uses, isLocalInProduction }));
}
