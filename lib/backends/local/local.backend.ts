import {
  BackendBase,
  type Backend,
  type BackendContext,
  type ConfigDriver,
  type DiscoveryDriver,
  type RegistryDriver,
} from '../../backend/index.js';
import { messageOf, type DiscoveryError } from '../../model/index.js';
import { LocalConfigDriver } from './local.config.js';
import { LocalDirectory } from './local.directory.js';
import { LocalDiscoveryDriver } from './local.discovery.js';
import type { LocalSettings } from './local.options.js';
import { ownIdentity } from './local.process.js';
import { LocalRegistryDriver } from './local.registry.js';

/** One app's local backend. */
export class LocalBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  private readonly directory: LocalDirectory;
  /** What `close()` must end. */
  private readonly adopted = new Set<() => Promise<unknown>>();
  /** What fails at present: leases and watches, each with its last error. */
  private readonly failing = new Map<object, DiscoveryError>();

  constructor(settings: LocalSettings, context: BackendContext) {
    super(settings.name, context);
    const { pollMs, leaseMs, instances, configDirectory } = settings;
    this.directory = new LocalDirectory(settings);
    const shared = {
      context,
      backend: settings.name,
      directory: this.directory,
      own: ownIdentity(),
      pollMs,
      assertOpen: () => this.assertOpen(),
      adopt: (close: () => Promise<unknown>) => this.adopt(close),
      health: {
        succeeded: (key: object) => this.noteSuccess(key),
        failed: (key: object, error: DiscoveryError) => this.noteFailure(key, error),
        forget: (key: object) => void this.failing.delete(key),
      },
    };
    this.registry = new LocalRegistryDriver({ ...shared, leaseMs });
    this.discovery = new LocalDiscoveryDriver({ ...shared, instances, complained: new Map<string, string>() });
    this.config = new LocalConfigDriver({ ...shared, folder: configDirectory });
  }

  /** Rejects when the directory isn't safe or can't be made: that is for a person to change. */
  protected async start(): Promise<void> {
    await this.directory.secure();
    try {
      await this.directory.createRegistry();
      this.setReady();
    } catch (error) {
      this.context.logger.warn(`${this.name}: ${this.directory.registry} can't be created: ${messageOf(error)}`);
      this.setDegraded(error);
    }
  }

  protected async stop(): Promise<void> {
    await Promise.all([...this.adopted].map((close) => close()));
  }

  private adopt(close: () => Promise<unknown>): () => void {
    this.adopted.add(close);
    return () => void this.adopted.delete(close);
  }

  private noteSuccess(key: object): void {
    this.failing.delete(key);
    if (this.failing.size === 0) this.setReady();
  }

  private noteFailure(key: object, error: DiscoveryError): void {
    this.failing.set(key, error);
    const [first] = this.failing.values();
    this.setDegraded(first);
  }
}
