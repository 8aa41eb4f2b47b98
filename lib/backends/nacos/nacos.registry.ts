import {
  neverArrived,
  type DriverHost,
  type Lease,
  type OverrideStatus,
  type OverrideTarget,
  type RegistryDriver,
} from '../../backend/index.js';
import { defined, DiscoveryError, NoInstanceError, type Registration } from '../../model/index.js';
import { isLoginFailure } from './client/auth.js';
import { toNacosInstance, type NacosInstance } from './client/naming/model.js';
import { fromNacos, toNacos, toServiceAddress, type ServiceAddress } from './nacos.codec.js';
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

  /** By `enabled`, as the console does: the server puts it over the registration. */
  async overrideStatus(target: OverrideTarget, status: OverrideStatus): Promise<void> {
    this.host.assertOpen();
    const address = toServiceAddress(target.service, this.settings.group);
    const instance = await this.found(address, target);
    const enabled = status === 'UP';
    await this.protocol.console.modify({
      ...address,
      instance: { ...instance, enabled },
      ...defined({ signal: target.signal }),
    });
  }

  /** What isn't enabled is in no list: such an instance is found by its address only. */
  private async found(
    address: ServiceAddress,
    { service, instanceId, signal }: OverrideTarget,
  ): Promise<NacosInstance> {
    const { host, settings } = this;
    const { console } = this.protocol;
    const asked = { ...address, ...defined({ signal }) };
    const { hosts } = await console.list(asked, () => {});
    const listed = hosts.find((one) => isInstance(one, instanceId, service, host.name));
    if (listed !== undefined) return listed;
    const [, ip, port] = /(?:^|[:/])([^:/]+|\[.+\]):(\d{1,5})$/.exec(instanceId) ?? [];
    const problem = `${host.name} has no instance ${instanceId} of ${service}; of one that is not enabled it only knows host:port`;
    if (ip === undefined || port === undefined) throw new NoInstanceError(service, problem);
    const { cluster: clusterName, ephemeral } = settings;
    try {
      return await console.get({
        ...asked,
        instance: toNacosInstance({ ip, port: Number(port), clusterName, ephemeral }),
      });
    } catch (error) {
      if (error instanceof DiscoveryError && error.code === 'BACKEND_REFUSED')
        throw new NoInstanceError(service, problem, { cause: error });
      throw error;
    }
  }
}

function isInstance(one: NacosInstance, instanceId: string, service: string, backend: string): boolean {
  if (`${one.ip}:${one.port}` === instanceId) return true;
  try {
    return fromNacos(one, service, backend).id === instanceId;
  } catch {
    return false;
  }
}
