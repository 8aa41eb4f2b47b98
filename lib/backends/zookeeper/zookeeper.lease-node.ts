import type { DriverHost, LeaseOperations, Removal } from '../../backend/index.js';
import type { Registration } from '../../model/index.js';
import { isFailure } from './client/errors.js';
import type { NodeStat } from './client/node-stat.js';
import type { ZooKeeperClient } from './client/zookeeper-client.js';

/** What a lease needs of its driver. */
export interface LeaseNodeOptions {
  readonly host: DriverHost;
  readonly client: ZooKeeperClient;
}

/** How often a node is removed at most when it is written in between. */
const MAX_REMOVALS = 3;

/** A lease's node, as far as the two layouts have it in common. */
export abstract class LeaseNode implements LeaseOperations {
  /** Sessions in which this lease created nodes: those are its own, and nobody else's. */
  protected readonly sessions = new Set<string>();
  private stopListening = (): void => {};
  private listeningTo: string | undefined;
  private warned = false;

  constructor(
    protected readonly options: LeaseNodeOptions,
    /** Told when the node may have been removed or replaced. */
    private readonly onEvent: () => void,
  ) {}

  abstract register(registration: Registration, signal: AbortSignal): Promise<void>;
  abstract deregister(registration: Registration, signal: AbortSignal): Promise<Removal>;
  abstract renew(registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'>;

  mayExist(): boolean {
    return this.sessions.size > 0;
  }

  /** Ends the listening; the node itself is none of its business. */
  release(): void {
    this.stopListening();
    this.listeningTo = undefined;
  }

  /** Doesn't wait for a connection: the lease is woken when there is one. @throws DiscoveryError the present outage */
  protected assertConnected(): void {
    const { outage } = this.options.client;
    if (outage !== undefined) throw outage;
  }

  /** What is known of the node, and from now on its changes are told. */
  protected async inspect(path: string, signal: AbortSignal): Promise<NodeStat | undefined> {
    if (this.listeningTo !== path) {
      this.stopListening();
      this.stopListening = this.options.client.onNode(path, (event) => {
        if (event.path === path) this.onEvent();
      });
      this.listeningTo = path;
    }
    return this.options.client.exists(path, { watch: true, signal });
  }

  /** Creates an ephemeral node and remembers in which session. */
  protected async createNode(
    path: string,
    data: Buffer,
    mode: 'ephemeral' | 'ephemeral-sequential',
    signal: AbortSignal,
  ): Promise<string> {
    this.rememberSession();
    const created = await this.options.client.create(path, data, { mode, signal });
    this.rememberSession();
    return created;
  }

  protected isOurs(stat: NodeStat): boolean {
    return stat.owner !== undefined && this.sessions.has(stat.owner);
  }

  protected inPresentSession(stat: NodeStat): boolean {
    return stat.owner !== undefined && stat.owner === this.options.client.sessionId;
  }

  /** Removes the node unless it is somebody else's. */
  protected async removeOwn(path: string, signal: AbortSignal): Promise<Removal> {
    const { client } = this.options;
    for (let tries = 1; ; tries += 1) {
      const stat = await client.exists(path, { signal });
      if (stat === undefined || !this.isOurs(stat)) return 'absent';
      try {
        return (await client.remove(path, { version: stat.version, signal })) ? 'removed' : 'absent';
      } catch (error) {
        // Written or replaced in between: look again whose it is.
        if (!isFailure(error, 'BAD_VERSION') || tries >= MAX_REMOVALS) throw error;
      }
    }
  }

  /**
   * Two living processes with one instance id: the one that came later has the node, as in a restart that overlaps. To
   * take it back would make both take it from each other for ever.
   */
  protected warnOnce(message: string): void {
    if (this.warned) return;
    this.warned = true;
    this.options.host.context.logger.warn(`${this.options.host.name}: ${message}`);
  }

  private rememberSession(): void {
    const { sessionId } = this.options.client;
    if (sessionId !== undefined) this.sessions.add(sessionId);
  }
}
