import type { BalancerParts, ChannelOptions } from './grpc-port.js';
import type { GrpcService } from './grpc-service.js';
import { InstanceConnection } from './instance-connection.js';
import { ServicePicker } from './service-picker.js';

/**
 * A policy of grpc-js's: keeps a connection to every instance that may be called, and leaves it to the app's own load balancer
 * which of them gets a call. A connection lasts as long as its instance, whatever else changes.
 */
export class ServiceBalancer {
  private children = new Map<string, InstanceConnection>();
  private readonly picker: ServicePicker;
  private isPaused = false;
  private isClosed = false;

  constructor(
    private readonly service: GrpcService,
    private readonly parts: BalancerParts,
  ) {
    this.picker = new ServicePicker(service, parts.library, () => this.children);
  }

  /** Takes the instances as they are now. Calls that are under way to those that are gone go on to their end. */
  update(options: ChannelOptions): void {
    const { service } = this;
    const next = new Map<string, InstanceConnection>();
    const added: InstanceConnection[] = [];
    for (const address of service.addresses()) {
      const { url } = address.instance;
      const known = this.children.get(url);
      if (known?.isAt(address) === true) {
        next.set(url, known);
        continue;
      }
      const name = service.serverNameOf(address);
      const own = name === undefined ? options : { 'grpc.ssl_target_name_override': name, ...options };
      const child = new InstanceConnection(address, this.parts, own, this.changed);
      added.push(child);
      next.set(url, child);
    }
    const gone = [...this.children.values()].filter((child) => next.get(child.instance.url) !== child);
    this.children = next;
    this.isPaused = true;
    for (const child of added) child.connect();
    this.isPaused = false;
    this.publish();
    for (const child of gone) child.close();
  }

  close(): void {
    this.isClosed = true;
    const all = this.children;
    this.children = new Map();
    for (const child of all.values()) child.close();
  }

  private readonly changed = (): void => {
    if (!this.isPaused && !this.isClosed) this.publish();
  };

  /** Has calls that wait be picked anew, too. */
  private publish(): void {
    const { helper, library } = this.parts;
    const { READY, CONNECTING, IDLE, TRANSIENT_FAILURE } = library.connectivityState;
    const states = new Set([...this.children.values()].map(({ state }) => state));
    const state = states.has(READY)
      ? READY
      : states.has(CONNECTING) || states.has(IDLE)
        ? CONNECTING
        : TRANSIENT_FAILURE;
    helper.updateState(state, this.picker, state === TRANSIENT_FAILURE ? this.picker.failure() : null);
  }
}
