import type { Removal } from '../../../backend/index.js';
import type { Registration } from '../../../model/index.js';
import { isFailure } from '../client/errors.js';
import { childPath } from '../client/paths.js';
import { LeaseNode, type LeaseNodeOptions } from '../zookeeper.lease-node.js';
import { encodeCuratorInstance } from './curator.codec.js';
import type { CuratorPayload } from './curator.options.js';

/** The node of one lease in Curator's layout: `<base>/<service>/<instance id>`, ephemeral. */
export class CuratorLeaseNode extends LeaseNode {
  private readonly registeredAt: number;
  /** The node as we created it, to tell a later one from one that was left over. */
  private created: { readonly czxid: bigint; readonly session: string } | undefined;

  constructor(
    options: LeaseNodeOptions,
    private readonly layout: { readonly basePath: string; readonly payload: CuratorPayload },
    onEvent: () => void,
  ) {
    super(options, onEvent);
    this.registeredAt = options.host.context.clock.now();
  }

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    const { client } = this.options;
    this.assertConnected();
    const path = this.pathOf(registration);
    const data = encodeCuratorInstance(registration, this.registeredAt, this.layout.payload);
    // Another lease of this process, or another process, may be in the way: removed once, and then it is an error.
    for (let tries = 0; ; tries += 1) {
      const stat = await this.inspect(path, signal);
      if (stat !== undefined && this.inPresentSession(stat)) {
        this.sessions.add(stat.owner ?? '');
        if ((await client.setData(path, data, { signal })) !== undefined) return this.remember(path, signal);
        continue;
      }
      if (stat !== undefined && this.yieldsTo(stat.czxid)) return;
      // Left by a session that hasn't expired yet, or by hand.
      if (stat !== undefined) await client.remove(path, { signal });
      try {
        await this.createNode(path, data, 'ephemeral', signal);
        return await this.remember(path, signal);
      } catch (error) {
        if (!isFailure(error, 'NODE_EXISTS') || tries >= 2) throw error;
      }
    }
  }

  async renew(registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'> {
    this.assertConnected();
    const stat = await this.inspect(this.pathOf(registration), signal);
    if (stat === undefined) return 'forgotten';
    return this.inPresentSession(stat) || this.yieldsTo(stat.czxid) ? 'renewed' : 'forgotten';
  }

  async deregister(registration: Registration, signal: AbortSignal): Promise<Removal> {
    this.release();
    return this.removeOwn(this.pathOf(registration), signal);
  }

  /** The node's path. */
  pathOf({ service, instanceId }: Registration): string {
    return childPath(childPath(this.layout.basePath, service), instanceId);
  }

  private async remember(path: string, signal: AbortSignal): Promise<void> {
    const stat = await this.inspect(path, signal);
    if (stat?.owner !== undefined && this.inPresentSession(stat)) {
      this.created = { czxid: stat.czxid, session: stat.owner };
    }
  }

  private yieldsTo(czxid: bigint): boolean {
    const { created } = this;
    if (created === undefined || created.session !== this.options.client.sessionId || czxid < created.czxid)
      return false;
    this.warnOnce(
      `another process has registered the instance that this one is (${this.layout.basePath}); give each instance its own id`,
    );
    return true;
  }
}
