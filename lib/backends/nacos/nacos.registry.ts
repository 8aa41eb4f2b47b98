import type { DriverHost, Lease, RegistryDriver } from '../../backend/index.js';
import type { Registration } from '../../model/index.js';
import { toNacos, toServiceAddress } from './nacos.codec.js';
import type { NacosSettings } from './nacos.options.js';
import type { NacosProtocol } from './nacos.ports.js';

/** The registration side of a Nacos backend. */
export class NacosRegistryDriver implements RegistryDriver {
  // Nacos has no status; metadata are replaced by registering again, which its protocol means for it.
  readonly capabilities = { status: 'emulated', metadata: 'native' } as const;

  constructor(
    private readonly host: DriverHost,
    private readonly protocol: NacosProtocol,
    private readonly settings: NacosSettings,
  ) {}

  register(registration: Registration): Lease {
    const { host, protocol, settings } = this;
    host.assertOpen();
    const { service, group } = toServiceAddress(registration.service, settings.group);
    const server = protocol.lease(service, group);
    const { beat } = server;
    return host.lease(
      registration,
      {
        register: (wanted, signal) => server.register(toNacos(wanted, settings), signal),
        deregister: (wanted, signal) => server.deregister(toNacos(wanted, settings), signal),
        ...(beat === undefined ? {} : { renew: (wanted, signal) => beat.renew(toNacos(wanted, settings), signal) }),
      },
      {
        capabilities: this.capabilities,
        timeoutMs: settings.client.requestTimeoutMs * 2 + 1000,
        backoff: { initialMs: 300, maxMs: 15_000 },
        ...(beat === undefined ? {} : { renewEveryMs: () => beat.everyMs() }),
        check: (wanted) => void toNacos(wanted, settings),
        follow: (lease) => server.onForgotten(() => lease.forgotten()),
      },
    );
  }
}
