import type { ConfigData } from '../../config/index.js';

/** What has the configuration: `ConfigClient`, and what `loadConfig` gives. */
export interface ConfigReader {
  readonly keys: readonly string[];
  get(key: string): ConfigData | undefined;
}

/** Which keys are handed on. */
export interface HandedOn {
  /** Keys that stay here, with everything below them. @default [] */
  readonly exclude?: readonly string[];
}

/** Whether a key is handed on. */
export function isHandedOn(key: string, { exclude = [] }: HandedOn): boolean {
  return !exclude.some((one) => key === one || key.startsWith(`${one}.`) || key.startsWith(`${one}[`));
}

/**
 * A loader for `ConfigModule.forRoot({ load: [configLoader(config)] })`, for what reads `ConfigService` in its constructor:
 *
 * ```ts
 * const config = await loadConfig(options);
 * ConfigModule.forRoot({ isGlobal: true, load: [configLoader(config)] });
 * ```
 */
export function configLoader(config: ConfigReader, options: HandedOn = {}): () => Record<string, unknown> {
  return () => {
    const root: Record<string, unknown> = {};
    for (const key of config.keys) {
      if (!isHandedOn(key, options)) continue;
      const parts = key.split('.');
      const last = parts.pop() as string;
      let at = root;
      for (const part of parts) {
        const next = at[part];
        at = typeof next === 'object' && next !== null && !Array.isArray(next) ? (next as typeof at) : (at[part] = {});
      }
      at[last] = config.get(key);
    }
    return root;
  };
}
