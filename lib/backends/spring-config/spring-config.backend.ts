import { BackendBase, type Backend, type BackendContext } from '../../backend/index.js';
import { SpringConfigClient } from './spring-config.client.js';
import { SpringConfigDriver } from './spring-config.config.js';
import type { SpringConfigSettings } from './spring-config.options.js';

/** One app's config server: configuration only. */
export class SpringConfigBackend extends BackendBase implements Backend {
  readonly config: SpringConfigDriver;
  private readonly client: SpringConfigClient;

  constructor(settings: SpringConfigSettings, context: BackendContext) {
    super(settings.name, context);
    this.client = new SpringConfigClient(settings, context);
    const { name: application, profiles } = context.application;
    this.config = new SpringConfigDriver(this, this.client, settings, { application, profiles });
  }

  protected start(): Promise<void> {
    return Promise.resolve();
  }

  protected stop(): Promise<void> {
    return this.client.close();
  }
}
