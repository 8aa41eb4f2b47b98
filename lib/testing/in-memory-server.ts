import { abandonOnAbort } from '../backend/index.js';
import { DiscoveryError, type ConfigFormat, type ServiceInstanceInput } from '../model/index.js';

/** An instance as the server keeps it: no backend has looked at it yet. */
export type StoredInstance = Readonly<Omit<ServiceInstanceInput, 'backend' | 'service'> & { id: string }> & {
  /** The lease that keeps it; undefined for what a test put there. */
  readonly owner?: object;
};

/** A configuration document as the server keeps it. */
export interface StoredDocument {
  readonly id: string;
  readonly text: string;
  readonly format: ConfigFormat;
  readonly revision: string;
}

/** What the server was asked for since it was made, and what is open at present. */
export interface InMemoryStats {
  /** Service watches open at this moment, of all clients. */
  readonly openWatches: number;
  /** Service watches opened so far. */
  readonly watchesOpened: number;
  /** Configuration watches open at this moment. */
  readonly openConfigWatches: number;
  /** Configuration watches opened so far. */
  readonly configWatchesOpened: number;
  /** Reads done so far: first answers of watches, refreshes, lists of services, documents read. */
  readonly reads: number;
  /** Registrations and changes of registrations received. */
  readonly registrations: number;
  /** Heartbeats received. */
  readonly heartbeats: number;
  /** Deregistrations received. */
  readonly removals: number;
  /** Documents published or removed. */
  readonly writes: number;
  /** Requests that wait for an answer at this moment; they do while the server is paused. */
  readonly inFlight: number;
}

type Counter = { -readonly [K in keyof InMemoryStats]: number };

/** Somebody who is told of changes; called synchronously. */
export interface ServerObserver {
  /** The instances of `service` changed. */
  instances?(service: string): void;
  /** A document changed. */
  documents?(): void;
  /** It failed, recovered or goes on after a pause. */
  availability?(): void;
}

/** The "server" of the in-memory backend: maps, an on/off switch, and those who watch. */
export class InMemoryServer {
  readonly stats: Counter = {
    openWatches: 0,
    watchesOpened: 0,
    openConfigWatches: 0,
    configWatchesOpened: 0,
    reads: 0,
    registrations: 0,
    heartbeats: 0,
    removals: 0,
    writes: 0,
    inFlight: 0,
  };
  private readonly services = new Map<string, Map<string, StoredInstance>>();
  private readonly documentsById = new Map<string, StoredDocument>();
  private readonly observers = new Set<ServerObserver>();
  /** Leases that ended without an answer; their records go when the server is back. */
  private readonly abandoned = new Set<object>();
  private revisions = 0;
  /** Requests that wait for the end of a pause; undefined when there is none. */
  private held: (() => void)[] | undefined;
  private error: DiscoveryError | undefined;

  /** Why it doesn't answer, or undefined while it does. */
  get failure(): DiscoveryError | undefined {
    return this.error;
  }

  get paused(): boolean {
    return this.held !== undefined;
  }

  observe(observer: ServerObserver): () => void {
    this.observers.add(observer);
    return () => void this.observers.delete(observer);
  }

  /**
   * The way of every request: counted, held while paused, refused while failing.
   *
   * @throws DiscoveryError the failure that a test set, or `ABORTED`
   */
  async request(
    kind: 'reads' | 'registrations' | 'heartbeats' | 'removals' | 'writes',
    signal?: AbortSignal,
  ): Promise<void> {
    this.stats[kind] += 1;
    this.stats.inFlight += 1;
    try {
      await Promise.resolve();
      while (this.held !== undefined) {
        const { held } = this;
        const released = new Promise<void>((resolve) => held.push(resolve));
        await abandonOnAbort(released, signal, 'the request to the in-memory registry');
      }
      if (signal?.aborted === true)
        throw new DiscoveryError('ABORTED', 'the request to the in-memory registry was aborted');
      if (this.error !== undefined) throw this.error;
    } finally {
      this.stats.inFlight -= 1;
    }
  }

  fail(error: DiscoveryError): void {
    this.error = error;
    this.announceAvailability();
  }

  recover(): void {
    if (this.error === undefined) return;
    this.error = undefined;
    this.announceAvailability();
  }

  pause(): void {
    this.held ??= [];
  }

  resume(): void {
    const { held } = this;
    if (held === undefined) return;
    this.held = undefined;
    // The latest first: who relies on the order of requests that are under way is found out.
    for (const release of held.reverse()) release();
    this.announceAvailability();
  }

  /** Names of the services that have an instance. */
  serviceNames(): readonly string[] {
    return [...this.services.keys()];
  }

  instancesOf(service: string): readonly StoredInstance[] {
    return [...(this.services.get(service)?.values() ?? [])];
  }

  instance(service: string, id: string): StoredInstance | undefined {
    return this.services.get(service)?.get(id);
  }

  put(service: string, instance: StoredInstance): void {
    let instances = this.services.get(service);
    if (instances === undefined) this.services.set(service, (instances = new Map<string, StoredInstance>()));
    instances.set(instance.id, Object.freeze(instance));
    this.announceInstances(service);
  }

  /** Replaces what tests put there by `next`, in one step; what apps registered stays. */
  replaceUnowned(service: string, next: readonly StoredInstance[]): void {
    const owned = this.instancesOf(service).filter((instance) => instance.owner !== undefined);
    const all = new Map([...owned, ...next].map((instance) => [instance.id, Object.freeze(instance)]));
    if (all.size === 0) this.services.delete(service);
    else this.services.set(service, all);
    this.announceInstances(service);
  }

  remove(service: string, id: string): boolean {
    const instances = this.services.get(service);
    if (instances?.delete(id) !== true) return false;
    if (instances.size === 0) this.services.delete(service);
    this.announceInstances(service);
    return true;
  }

  /** A lease ended without having reached the server: its record expires, at the latest when the server is back. */
  abandon(owner: object): void {
    if (this.error === undefined && this.held === undefined) this.removeOwnedBy(owner);
    else this.abandoned.add(owner);
  }

  documents(): readonly StoredDocument[] {
    return [...this.documentsById.values()];
  }

  document(id: string): StoredDocument | undefined {
    return this.documentsById.get(id);
  }

  setDocument(id: string, text: string, format: ConfigFormat): StoredDocument {
    const before = this.documentsById.get(id);
    if (before !== undefined && before.text === text && before.format === format) return before;
    this.revisions += 1;
    const document = Object.freeze({ id, text, format, revision: String(this.revisions) });
    this.documentsById.set(id, document);
    this.announceDocuments();
    return document;
  }

  removeDocument(id: string): boolean {
    if (!this.documentsById.delete(id)) return false;
    this.announceDocuments();
    return true;
  }

  private removeOwnedBy(owner: object): void {
    for (const [service, instances] of this.services) {
      for (const instance of instances.values()) if (instance.owner === owner) this.remove(service, instance.id);
    }
  }

  private announceInstances(service: string): void {
    for (const observer of this.everybody()) observer.instances?.(service);
  }

  private announceDocuments(): void {
    for (const observer of this.everybody()) observer.documents?.();
  }

  private announceAvailability(): void {
    if (this.held === undefined && this.error === undefined) {
      for (const owner of this.abandoned) this.removeOwnedBy(owner);
      this.abandoned.clear();
    }
    for (const observer of this.everybody()) observer.availability?.();
  }

  /** A copy: an observer may leave while it is told. */
  private everybody(): readonly ServerObserver[] {
    return [...this.observers];
  }
}
