import type { ServiceInstance } from '../../../model/index.js';
import type { BalancerParts, ChannelOptions, Leaf, PickResult } from './grpc-port.js';
import type { GrpcAddress } from './grpc-service.js';

/** The connection to one instance. */
export class InstanceConnection {
  private readonly leaf: Leaf;
  /** What its connection failed by last. */
  lastError: string | undefined;

  constructor(
    readonly address: GrpcAddress,
    { library, helper, createLeaf }: BalancerParts,
    options: ChannelOptions,
    changed: () => void,
  ) {
    const { experimental } = library;
    const idle: number = library.connectivityState.IDLE;
    const { host, port } = address;
    const own = experimental.createChildChannelControlHelper(helper, {
      updateState: (state: number, _picker: object, message?: string | null) => {
        if (typeof message === 'string') this.lastError = message;
        // As long as the instance is one of those to call, its connection is kept.
        if (state === idle) this.leaf.exitIdle();
        changed();
      },
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
