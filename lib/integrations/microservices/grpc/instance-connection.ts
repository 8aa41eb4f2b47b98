import type { ServiceInstance } from '../../../model/index.js';
import { SERVICE_KEY, type BalancerParts, type ChannelOptions, type Leaf, type PickResult } from './grpc-port.js';
import type { GrpcAddress } from './grpc-service.js';

/** The connection to one instance. */
export class InstanceConnection {
  private readonly leaf: Leaf;
  /** What its connection failed by last. */
  lastError: string | undefined;

  constructor(
    readonly address: GrpcAddress,
    { library, helper, isOld, createLeaf }: BalancerParts,
    options: ChannelOptions,
    changed: () => void,
  ) {
    const { experimental } = library;
    const { IDLE, TRANSIENT_FAILURE }: Readonly<Record<'IDLE' | 'TRANSIENT_FAILURE', number>> =
      library.connectivityState;
    const { host, port } = address;
    const own = experimental.createChildChannelControlHelper(helper, {
      updateState: (state: number, picker: object, message?: string | null) => {
        if (typeof message === 'string') this.lastError = message;
        // Before 1.13 only calls are told.
        else if (state === TRANSIENT_FAILURE) {
          this.lastError = (picker as Picker).pick(NOTHING as never).status?.details;
        }
        // As long as the instance is one of those to call, its connection is kept.
        if (state === IDLE) this.leaf.exitIdle();
        changed();
      },
      // Before 1.13 a connection has its channel's options only, and is told apart by all of them.
      ...(isOld ? { createSubchannel: createWith(helper, { ...options, [SERVICE_KEY]: undefined }) } : {}),
    });
    this.leaf = createLeaf({ addresses: [{ host, port }] }, own, options);
  }

  get instance(): ServiceInstance {
    return this.address.instance;
  }

  get state(): number {
    return this.leaf.getConnectivityState();
  }

  /** The connection, when it is ready. */
  get subchannel(): PickResult['subchannel'] {
    return this.leaf.getPicker().pick(NOTHING as never).subchannel;
  }

  isAt({ host, port }: GrpcAddress): boolean {
    return this.address.host === host && this.address.port === port;
  }

  connect(): void {
    this.leaf.startConnecting();
  }

  close(): void {
    this.leaf.destroy();
  }
}

const NOTHING = {};

type Picker = ReturnType<Leaf['getPicker']>;
type Helper = BalancerParts['helper'];

function createWith(helper: Helper, options: ChannelOptions): Helper['createSubchannel'] {
  return (address, more, ...rest) => helper.createSubchannel(address, { ...options, ...more }, ...rest);
}
