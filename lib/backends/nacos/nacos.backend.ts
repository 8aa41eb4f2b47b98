import {
  BackendBase,
  type Backend,
  type BackendContext,
  type ConfigDriver,
  type DiscoveryDriver,
  type RegistryDriver,
} from '../../backend/index.js';
import { NacosConfigDriver } from './nacos.config.js';
import { NacosDiscoveryDriver } from './nacos.discovery.js';
import { grpcProtocol } from './nacos.grpc.js';
import { httpProtocol } from './nacos.http.js';
import type { NacosSettings } from './nacos.options.js';
import type { NacosProtocol } from './nacos.ports.js';
import { NacosRegistryDriver } from './nacos.registry.js';

/** One app's Nacos backend. */
export class NacosBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  private readonly protocol: NacosProtocol;

  constructor(settings: NacosSettings, context: BackendContext) {
    super(settings.name, context);
    this.protocol =
      settings.protocol === 'http' ? httpProtocol(settings, this.context) : grpcProtocol(settings, this.context);
    this.protocol.onState(({ ready, error }) => {
      if (ready) this.health.ok(this.health.session);
      else this.health.failed(this.health.session, error);
    });
    this.registry = new NacosRegistryDriver(this, this.protocol, settings);
    this.discovery = new NacosDiscoveryDriver(this, this.protocol, settings);
    this.config = new NacosConfigDriver(this, this.protocol, settings);
  }

  protected start(): Promise<void> {
    return this.protocol.open();
  }

  protected stop(): Promise<void> {
    return this.protocol.close();
  }
}
