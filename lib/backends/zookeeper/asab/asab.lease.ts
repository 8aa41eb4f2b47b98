import { randomUUID } from 'node:crypto';
import { inParallel, type Removal } from '../../../backend/index.js';
import { codeOf, messageOf, type Registration } from '../../../model/index.js';
import { isFailure } from '../client/errors.js';

import { childPath } from '../client/paths.js';
import { textField } from '../json.js';
import { LeaseNode, type LeaseNodeOptions } from '../zookeeper.lease-node.js';
import { decodeAsabRecord, encodeAsabRecord, type AsabRecord } from './asab.codec.js';
import type { AsabIdentity } from './asab.identity.js';

/** The node of one lease in ASAB's layout: `<base>/run/<App>.<ten digits>`, ephemeral and sequential. */
export class AsabLeaseNode extends LeaseNode {
  /** In each record, so that a node whose creation was never confirmed can be found. */
  private readonly token = randomUUID();
  private path: string | undefined;
  /** A node may have been created that we don't know the name of. */
  private uncertain = false;

  constructor(
    options: LeaseNodeOptions,
    private readonly runPath: string,
    private readonly identity: AsabIdentity,
    onEvent: () => void,
  ) {
    super(options, onEvent);
  }

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    const { client } = this.options;
    this.assertConnected();
    const data = encodeAsabRecord(registration, this.identity.factsFor(registration), this.token);
    if (this.uncertain) await this.find(registration, signal);
    if (this.path !== undefined && (await this.rewrite(this.path, data, signal))) return;
    this.uncertain = true;
    const prefix = childPath(this.runPath, `${this.identity.appClassFor(registration)}.`);
    this.path = await this.createNode(prefix, data, 'ephemeral-sequential', signal);
    this.uncertain = false;
    const stat = await this.inspect(this.path, signal);
    if (stat === undefined || !this.inPresentSession(stat)) {
      // The session ended in this very moment; the next one brings us here again.
      this.path = undefined;
      await client.exists(this.runPath, { signal });
      return;
    }
    try {
      await this.replacePrevious(registration, signal);
    } catch (error) {
      // It expires by itself; without the right to remove it that has to do.
      if (codeOf(error) !== 'BACKEND_REFUSED') throw error;
      this.options.host.context.logger.debug(
        `${this.options.host.name}: the record of the process before stays: ${messageOf(error)}`,
      );
    }
  }

  async renew(_registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'> {
    if (this.path === undefined) return 'forgotten';
    this.assertConnected();
    const stat = await this.inspect(this.path, signal);
    if (stat !== undefined && this.inPresentSession(stat)) return 'renewed';
    this.path = undefined;
    return 'forgotten';
  }

  async deregister(registration: Registration, signal: AbortSignal): Promise<Removal> {
    this.release();
    if (this.uncertain) await this.find(registration, signal);
    const { path } = this;
    // Nothing is there; but only a registry that answers has confirmed that.
    if (path === undefined) {
      await this.options.client.exists(this.runPath, { signal });
      return 'absent';
    }
    const removal = await this.removeOwn(path, signal);
    this.path = undefined;
    return removal;
  }

  private async rewrite(path: string, data: Buffer, signal: AbortSignal): Promise<boolean> {
    const stat = await this.inspect(path, signal);
    if (stat !== undefined && this.inPresentSession(stat)) {
      if ((await this.options.client.setData(path, data, { signal })) !== undefined) {
        // The writing has used up the watch.
        await this.inspect(path, signal);
        return true;
      }
    }
    this.path = undefined;
    return false;
  }

  /** Looks for a node that we created without hearing its name. */
  private async find(registration: Registration, signal: AbortSignal): Promise<void> {
    await this.eachRecord(registration, signal, (path, record) => {
      if (record.token === this.token) this.path = path;
      return Promise.resolve();
    });
    this.uncertain = false;
  }

  /**
   * After a fast restart the record of the process before is still there until its session expires. Same address, same
   * ids and an older launch: it can't be alive. (Of two that live, only the younger one would remove the other.)
   */
  private async replacePrevious(registration: Registration, signal: AbortSignal): Promise<void> {
    const facts = this.identity.factsFor(registration);
    await this.eachRecord(registration, signal, async (path, record, owner) => {
      const { raw } = record;
      const launched = textField(raw, 'launch_time');
      const same =
        textField(raw, 'host') === facts.host &&
        textField(raw, 'instance_id') === facts.ids.instance_id &&
        textField(raw, 'service_id') === facts.ids.service_id &&
        portsOf(record).includes(registration.port);
      if (!same || owner === undefined || this.sessions.has(owner) || record.token === this.token) return;
      if (owner === this.options.client.sessionId || launched === undefined || launched >= facts.launchTime) return;
      await this.options.client.remove(path, { signal });
    });
  }

  /** Reads the records whose name begins as ours does. */
  private async eachRecord(
    registration: Registration,
    signal: AbortSignal,
    use: (path: string, record: AsabRecord, owner: string | undefined) => Promise<void>,
  ): Promise<void> {
    const { client, host } = this.options;
    const prefix = `${this.identity.appClassFor(registration)}.`;
    const names = (await client.getChildren(this.runPath, { signal })) ?? [];
    const candidates = names.map((name) => childPath(this.runPath, name)).filter((path) => path !== this.path);
    const alike = candidates.filter((path) => path.startsWith(childPath(this.runPath, prefix)));
    await inParallel(alike, 128, async (path) => {
      const found = await client.getData(path, { signal }).catch((error: unknown) => {
        if (isFailure(error, 'NO_AUTH')) return undefined;
        throw error;
      });
      if (found === undefined) return;
      let record: AsabRecord;
      try {
        record = decodeAsabRecord(path, found.data, host.name);
      } catch {
        // None of ours.
        return;
      }
      await use(path, record, found.stat.owner);
    });
  }
}

function portsOf(record: AsabRecord): readonly number[] {
  const ports = record.addresses.map((address) => address.port);
  return [...ports, ...record.instances.map((instance) => instance.port)];
}
