import type { ClientProxy } from '@nestjs/microservices';
import { FIRST_TRY, type PickContext } from '../../../balancing/index.js';
import { noSnapshot, type ViewLease } from '../../../discovery/index.js';
import { describe, DiscoveryError, type ServiceInstance } from '../../../model/index.js';
import type { ResolvedCallOptions } from '../../../http/index.js';
import { portOf } from '../port-metadata.js';
import { WatchedService, type CallApp } from '../watched-service.js';
import { InstanceClient, type Packet } from './instance-client.js';
import type { MessageAddress } from './message-address.js';
import { unsent } from './message-error.js';

/** What is said of a service besides how its calls are made. */
export interface MessageServiceSettings {
  readonly portMetadata: readonly string[];
  readonly createClient: (address: MessageAddress) => ClientProxy;
  readonly keyOf: ((pattern: unknown, data: unknown) => string | undefined) | undefined;
}

/** One service as a client calls it by messages, and the connections to its instances. */
export class MessageService extends WatchedService {
  private readonly clients = new Map<string, InstanceClient>();
  private readonly listeners: { readonly event: never; readonly callback: never }[] = [];
  private lease: ViewLease | undefined;
  private unsubscribe: (() => void) | undefined;
  private isClosed = false;
  private readonly carries: boolean;

  constructor(
    app: CallApp,
    name: string,
    options: ResolvedCallOptions,
    schemes: readonly string[] | undefined,
    private readonly settings: MessageServiceSettings,
  ) {
    super(app, name, options, schemes);
    this.carries = options.forwardHeaders.length > 0;
  }

  /** Whether its instances are known, which they are from the first answer of a registry on. */
  get isKnown(): boolean {
    return !this.isClosed && this.lease !== undefined && this.lease.view.current.state !== 'unknown';
  }

  /** Watches it. @throws NoSnapshotError when no registry answered in time; DiscoveryError `BACKEND_CLOSED` */
  async whenKnown(): Promise<void> {
    if (this.isClosed) {
      throw new DiscoveryError('BACKEND_CLOSED', `${this.name} can't be called: its client was closed`, {
        service: this.name,
      });
    }
    this.lease ??= this.acquire();
    const { view } = this.lease;
    this.unsubscribe ??= view.subscribe(() => this.leaveGone());
    const { firstSnapshotTimeoutMs, views } = this.app;
    const snapshot = await view.settled(firstSnapshotTimeoutMs);
    if (snapshot.state === 'unknown') throw noSnapshot(view, firstSnapshotTimeoutMs, views.now);
  }

  /** The connection to an instance. @throws an error that says that nothing was sent */
  clientOf(instance: ServiceInstance): InstanceClient {
    const { url } = instance;
    let client = this.clients.get(url);
    const { portMetadata, createClient } = this.settings;
    const port = portOf(instance, portMetadata);
    if (client !== undefined && client.address.port === port && client.address.host === instance.host) return client;
    if (client !== undefined) this.discard(client);
    if (port === undefined) {
      const name = portMetadata.find((one) => instance.metadata[one] !== undefined) ?? '';
      throw unsent(`its ${name} is no port: ${describe(instance.metadata[name])}`);
    }
    const address = { host: instance.host, port, instance };
    client = new InstanceClient(address, createClient(address));
    for (const { event, callback } of this.listeners) client.on(event, callback);
    this.clients.set(url, client);
    return client;
  }

  /** Lets go of a connection. */
  discard(client: InstanceClient): void {
    const { url } = client.address.instance;
    if (this.clients.get(url) === client) this.clients.delete(url);
    client.leave();
  }

  /** What a try is sent as: with what goes along, which a message has none of by itself. */
  packetFor(packet: Packet, context: PickContext, observed: Readonly<Record<string, string>> | undefined): Packet {
    const { pattern, data, metadata } = packet;
    const { routing, incoming } = this.app;
    const lane = routing.carried(this.options, context);
    const forwarded = this.carries ? incoming.pick(this.options.forwardHeaders) : undefined;
    if (lane === undefined && forwarded === undefined && observed === undefined && metadata === undefined) {
      return { pattern, data };
    }
    return { pattern, data, metadata: { ...observed, ...forwarded, ...lane, ...metadata } };
  }

  /** What a call goes by. */
  contextOf({ pattern, data, metadata }: Packet): PickContext {
    const { routing } = this.app;
    const key = this.settings.keyOf?.(pattern, data);
    if (key === undefined && routing.isPlain(this.options)) return FIRST_TRY;
    const header = (name: string): string | undefined => {
      const value = metadata?.[name] ?? metadata?.[name.toLowerCase()];
      return typeof value === 'string' ? value : undefined;
    };
    return routing.contextOf(this.name, this.options, { header, given: key === undefined ? undefined : { key } });
  }

  /** How long a try may take, in milliseconds; 0: for ever. */
  timeLeft(deadline: number): number {
    const { timeoutMs } = this.options;
    if (deadline === Infinity) return timeoutMs;
    const left = Math.max(1, Math.ceil(deadline - this.app.clock.now()));
    return timeoutMs === 0 ? left : Math.min(timeoutMs, left);
  }

  /** Hears of what happens to the connections, those that come included. */
  on(event: never, callback: never): void {
    this.listeners.push({ event, callback });
    for (const client of this.clients.values()) client.on(event, callback);
  }

  /** Connections that there are. */
  get connections(): readonly InstanceClient[] {
    return [...this.clients.values()];
  }

  close(): void {
    this.isClosed = true;
    this.unsubscribe?.();
    this.lease?.release();
    this.lease = undefined;
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }

  /** Connections to instances that aren't called any more are closed when their calls have ended. */
  private leaveGone(): void {
    const urls = new Set(this.called.route.candidates.map(({ instance }) => instance.url));
    for (const [url, client] of this.clients) if (!urls.has(url)) this.discard(client);
  }
}
