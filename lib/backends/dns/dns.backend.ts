import { BackendBase, type Backend, type BackendContext } from '../../backend/index.js';
import { DnsDiscoveryDriver } from './dns.discovery.js';
import type { DnsSettings } from './dns.options.js';

/** One app's DNS: discovery only. */
export class DnsBackend extends BackendBase implements Backend {
  readonly discovery: DnsDiscoveryDriver;
  protected override readonly hooks = {
    probe: {
      ask: (signal: AbortSignal) => this.discovery.probe(signal),
      timeoutMs: () => this.settings.timeoutMs,
    },
  };

  constructor(
    private readonly settings: DnsSettings,
    context: BackendContext,
  ) {
    super(settings.name, context);
    this.discovery = new DnsDiscoveryDriver(this, settings);
  }

  protected start(): Promise<void> {
    return Promise.resolve();
  }

  protected stop(): Promise<void> {
    return Promise.resolve();
  }
}
