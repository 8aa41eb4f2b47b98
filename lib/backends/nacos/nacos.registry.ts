import { LeaseKeeper, type Lease, type RegistryDriver } from '../../backend/index.js';
import type { Registration } from '../../model/index.js';
import { toNacos, toServiceAddress } from './nacos.codec.js';
import type { DriverContext } from './nacos.ports.js';

/** The registration side of a Nacos backend. */
export class NacosRegistryDriver implements RegistryDriver {
  // Nacos has no status; metadata are replaced by registering again, which its protocol means for it.
  readonly capabilities = { status: 'emulated', metadata: 'native' } as const;

  constructor(private readonly driver: DriverContext) {}

  register(registration: Registration): Lease {
    const { settings, context, protocol } = this.driver;
    this.driver.assertOpen();
    const { service, group } = toServiceAddress(registration.service, settings.group);
    // What Nacos can't take is told at once, not tried for ever.
    toNacos(registration, settings);
    const server = protocol.lease(service, group);
    const { beat } = server;
    let release = (): void => {};
    const lease = new LeaseKeeper(registration, {
      clock: context.clock,
      backend: settings.name,
      capabilities: this.capabilities,
      random: () => context.random(),
      timeoutMs: settings.client.requestTimeoutMs * 2 + 1000,
      backoff: { initialMs: 300, maxMs: 15_000 },
      operations: {
        register: (wanted, signal) => server.register(toNacos(wanted, settings), signal),
        deregister: (wanted, signal) => server.deregister(toNacos(wanted, settings), signal),
        ...(beat === undefined ? {} : { renew: (wanted, signal) => beat.renew(toNacos(wanted, settings), signal) }),
      },
      ...(beat === undefined ? {} : { renewEveryMs: () => beat.everyMs() }),
      report: (event) => context.report(event),
      onRevoked: () => release(),
    });
    const silence = server.onForgotten(() => lease.forgotten());
    // An aborted signal: what wasn't revoked when the backend closes goes with the connection, or expires.
    const disown = this.driver.own(() => lease.revoke(AbortSignal.abort()));
    release = () => {
      silence();
      disown();
    };
    return lease;
  }
}
