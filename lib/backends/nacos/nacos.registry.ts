import { neverArrived, type DriverHost, type Lease, type RegistryDriver } from '../../backend/index.js';
import type { Registration } from '../../model/index.js';
import { isLoginFailure } from './client/auth.js';
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
    let arrived = false;
    return host.lease(
      registration,
      {
        register: async (wanted, signal) => {
          try {
            await server.register(toNacos(wanted, settings), signal);
            arrived = true;
          } catch (error) {
            arrived ||= !neverArrived(error) && !isLoginFailure(error) && server.wasConnected();
            throw error;
          }
        },
        mayExist: () => arrived,
        deregister: async (wanted, signal) => {
          await server.deregister(toNacos(wanted, settings), signal);
          return 'removed';
        },
        ...(beat === undefined ? {} : { renew: (wanted, signal) => beat.renew(toNacos(wanted, settings), signal) }),
      },
      {
        capabilities: this.capabilities,
        timeoutMs: settings.client.requestTimeoutMs * 2 + 1000,
        backoff: { initialMs: 300, maxMs: 15_000 },
        ...(beat === undefined ? {} : { renewEveryMs: () => beat.everyMs() }),
        check: (wanted) => void toNacos(wanted, settings),
        follow: (lease) => {
          const leave = server.onForgotten(() => lease.forgotten());
          return () => {
            leave();
            if (!arrived) server.drop(toNacos(lease.registration, settings));
          };
        },
      },
    );
  }
}
