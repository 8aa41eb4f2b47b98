import { abandonOnAbort } from '../../../../backend/index.js';
import { DiscoveryError } from '../../../../model/index.js';
import { isServerFailure } from '../errors.js';
import { instanceKey, type NacosInstance } from './model.js';

/** What is to be sent for a service. */
export type PublicationStep =
  | { readonly kind: 'register'; readonly instance: NacosInstance }
  | { readonly kind: 'batch'; readonly instances: readonly NacosInstance[] }
  | { readonly kind: 'deregister'; readonly instance: NacosInstance };

/** How publications reach the server. */
export interface PublicationPort {
  /** Counts the connections; what was published on an earlier one is gone. */
  epoch(): number;
  /** Resolves with the epoch of the connection that took it. */
  send(service: string, group: string, step: PublicationStep): Promise<void>;
}

/**
 * All ephemeral instances that this client publishes, as they should be. A server keeps one publication of a service for
 * each connection, and a later one replaces it: so the instances of one service are published together, and after every
 * reconnection everything is published again.
 */
export class Publications {
  private readonly byService = new Map<string, Publication>();

  constructor(private readonly port: PublicationPort) {}

  /** Services with anything to publish. */
  get size(): number {
    return [...this.byService.values()].filter((publication) => publication.desired.size > 0).length;
  }

  /** The instances that should be published for a service. */
  desired(service: string, group: string): readonly NacosInstance[] {
    return [...(this.byService.get(keyOf(service, group))?.desired.values() ?? [])];
  }

  /**
   * Publishes an instance besides the others of its service, or in place of the one at the same address; does nothing
   * when the server has it already. It stays desired when the server can't be reached, not when it is refused.
   */
  set(service: string, group: string, instance: NacosInstance, signal?: AbortSignal): Promise<void> {
    return this.change(service, group, [instance], [], signal);
  }

  /** Publishes these instances and no others. */
  replace(service: string, group: string, instances: readonly NacosInstance[], signal?: AbortSignal): Promise<void> {
    const kept = new Set(instances.map(instanceKey));
    const gone = this.desired(service, group).filter((instance) => !kept.has(instanceKey(instance)));
    return this.change(service, group, instances, gone, signal);
  }

  /** Takes instances back: from this moment they are not published again, whatever happens. */
  remove(
    service: string,
    group: string,
    instances: readonly Pick<NacosInstance, 'ip' | 'port' | 'clusterName'>[],
    signal?: AbortSignal,
  ): Promise<void> {
    return this.change(service, group, [], instances, signal);
  }

  /** From this moment the instances are not published again; sends nothing. */
  drop(service: string, group: string, instances: readonly Pick<NacosInstance, 'ip' | 'port' | 'clusterName'>[]): void {
    this.byService.get(keyOf(service, group))?.apply([], instances);
  }

  /** Publishes what the server doesn't have, after a reconnection or a failure. Rejects with the first failure. */
  async redo(): Promise<void> {
    const results = await Promise.allSettled([...this.byService.values()].map((publication) => publication.sync()));
    for (const [key, publication] of this.byService) if (publication.isOver()) this.byService.delete(key);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  private async change(
    service: string,
    group: string,
    set: readonly NacosInstance[],
    gone: readonly Pick<NacosInstance, 'ip' | 'port' | 'clusterName'>[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const key = keyOf(service, group);
    const publication = this.byService.get(key) ?? new Publication(service, group, this.port);
    this.byService.set(key, publication);
    const before = set.map((instance) => publication.desired.get(instanceKey(instance)));
    publication.apply(set, gone);
    try {
      await abandonOnAbort(publication.sync(), signal, `publishing ${service}`);
    } catch (error) {
      // What the server refuses would be refused again with every reconnection, and its neighbours with it.
      if (!isServerFailure(error) && !isAbort(error)) publication.takeBack(set, before);
      throw error;
    }
    if (publication.isOver()) this.byService.delete(key);
  }
}

/** What one service's publication should be, and what the server has of it. */
class Publication {
  readonly desired = new Map<string, NacosInstance>();
  private version = 0;
  /** What the server confirmed, and on which connection. */
  private confirmed: { readonly epoch: number; readonly version: number; readonly sent: readonly NacosInstance[] };
  private running: { readonly version: number; readonly done: Promise<void> } | undefined;

  constructor(
    private readonly service: string,
    private readonly group: string,
    private readonly port: PublicationPort,
  ) {
    this.confirmed = { epoch: port.epoch(), version: 0, sent: [] };
  }

  apply(set: readonly NacosInstance[], gone: readonly Pick<NacosInstance, 'ip' | 'port' | 'clusterName'>[]): void {
    let changed = false;
    for (const instance of gone) changed = this.desired.delete(instanceKey(instance)) || changed;
    for (const instance of set) {
      const key = instanceKey(instance);
      if (this.desired.get(key) === instance) continue;
      this.desired.set(key, instance);
      changed = true;
    }
    if (changed) this.version += 1;
  }

  /** Undoes a refused change, unless something newer has taken its place. */
  takeBack(set: readonly NacosInstance[], before: readonly (NacosInstance | undefined)[]): void {
    set.forEach((instance, index) => {
      const key = instanceKey(instance);
      if (this.desired.get(key) !== instance) return;
      const previous = before[index];
      if (previous === undefined) this.desired.delete(key);
      else this.desired.set(key, previous);
      this.version += 1;
    });
  }

  isOver(): boolean {
    return this.desired.size === 0 && this.isConfirmed() && this.running === undefined;
  }

  /** Resolves when the server has what is desired at this moment, or something newer. */
  async sync(): Promise<void> {
    const wanted = this.version;
    while (!this.isConfirmed() && this.confirmedBefore(wanted)) {
      this.running ??= {
        version: this.version,
        done: this.sendOnce().finally(() => {
          this.running = undefined;
        }),
      };
      const { version, done } = this.running;
      try {
        await done;
      } catch (error) {
        // What failed was sent before this change: the change itself has yet to be tried.
        if (version >= wanted) throw error;
      }
    }
  }

  private isConfirmed(): boolean {
    const { epoch, version, sent } = this.confirmed;
    // Nothing on this connection, and nothing wanted: there is nothing to say.
    if (epoch !== this.port.epoch()) return this.desired.size === 0;
    return version === this.version || (this.desired.size === 0 && sent.length === 0);
  }

  private confirmedBefore(version: number): boolean {
    return this.confirmed.epoch !== this.port.epoch() || this.confirmed.version < version;
  }

  private async sendOnce(): Promise<void> {
    const epoch = this.port.epoch();
    const { version } = this;
    const instances = [...this.desired.values()];
    const before = this.confirmed.epoch === epoch ? this.confirmed.sent : [];
    const step = stepFor(before, instances);
    // Until it is confirmed the server may have either; what may be there must be taken back one day.
    const uncertain = instances.length === 0 ? before : instances;
    this.confirmed = { epoch, version: UNCERTAIN, sent: uncertain };
    try {
      if (step !== undefined) await this.port.send(this.service, this.group, step);
    } finally {
      // Sent on the old connection or on the new one: nobody knows, so it is sent again.
      if (this.port.epoch() !== epoch) {
        this.confirmed = { epoch: this.port.epoch(), version: UNCERTAIN, sent: uncertain };
      }
    }
    if (this.port.epoch() === epoch) this.confirmed = { epoch, version, sent: instances };
  }
}

/** No version is less. */
const UNCERTAIN = -1;

/**
 * The one request that turns what the connection published into what it should.
 *
 * @returns undefined when nothing is published and nothing should be
 */
export function stepFor(
  before: readonly NacosInstance[],
  after: readonly NacosInstance[],
): PublicationStep | undefined {
  const [first] = after;
  const [old] = before;
  if (first === undefined) return old === undefined ? undefined : { kind: 'deregister', instance: old };
  if (after.length === 1 && before.length <= 1) return { kind: 'register', instance: first };
  return { kind: 'batch', instances: after };
}

function keyOf(service: string, group: string): string {
  return `${group}@@${service}`;
}

function isAbort(error: unknown): boolean {
  return error instanceof DiscoveryError && (error.code === 'ABORTED' || error.code === 'BACKEND_CLOSED');
}
