import {
  BackendBase,
  type Backend,
  type BackendContext,
  type ConfigDriver,
  type DiscoveryDriver,
  type RegistryDriver,
} from '../../backend/index.js';
import { LocalConfigDriver } from './local.config.js';
import { LocalDirectory } from './local.directory.js';
import { LocalDiscoveryDriver } from './local.discovery.js';
import type { LocalSettings } from './local.options.js';
import { LocalRegistryDriver } from './local.registry.js';

/** How long a file system may take to say whether the folder is there, in milliseconds. */
const PROBE_TIMEOUT_MS = 10_000;

/** One app's local backend. */
export class LocalBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  protected override readonly folders = true;
  protected override readonly hooks = {
    probe: { ask: () => this.directory.createRegistry(), timeoutMs: () => PROBE_TIMEOUT_MS },
  };
  private readonly directory: LocalDirectory;

  constructor(settings: LocalSettings, context: BackendContext) {
    super(settings.name, context);
    this.directory = new LocalDirectory(settings);
    this.registry = new LocalRegistryDriver(this, settings, this.directory);
    this.discovery = new LocalDiscoveryDriver(this, settings, this.directory);
    this.config = new LocalConfigDriver(this, settings);
  }

  /** Rejects when the directory isn't safe: that is for a person to change. */
  protected async start(): Promise<void> {
    await this.directory.secure();
    try {
      await this.directory.createRegistry();
      this.setReady();
    } catch {
      // The probe, which looks again at once, tells why.
    }
  }

  protected stop(): Promise<void> {
    return Promise.resolve();
  }
}
