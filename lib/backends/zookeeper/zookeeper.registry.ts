import {
  LeaseKeeper,
  PeriodicTask,
  type BackendContext,
  type Lease,
  type RegistryDriver,
} from '../../backend/index.js';
import type { DiscoveryEvent, Registration } from '../../model/index.js';
import type { ZooKeeperClient } from './client/zookeeper-client.js';
import type { LeaseNode } from './zookeeper.lease-node.js';

/** What the driver needs of its backend. */
export interface ZooKeeperRegistryOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly client: ZooKeeperClient;
  /** Milliseconds between looks at a node that nobody said was gone. */
  readonly rescanMs: number;
  /** The longest time between tries to write a node, in milliseconds. */
  readonly maxRetryMs: number;
  /** The node of a new lease, in the layout; `onEvent` is to be told of its events. */
  readonly createNode: (registration: Registration, onEvent: () => void) => LeaseNode;
  /** Whether the next lease of an instance has the path of the one before. */
  readonly fixedPaths: boolean;
  readonly assertOpen: () => void;
  readonly adopt: (close: () => Promise<unknown>) => () => void;
}

/** A removal that was not confirmed. */
interface Leftover {
  readonly node: LeaseNode;
  readonly registration: Registration;
}

/** How long one removal of a leftover may take, in milliseconds. */
const REMOVAL_TIMEOUT_MS = 10_000;

/** The write side of both layouts: ephemeral nodes, created again whenever they are gone. */
export class ZooKeeperRegistryDriver implements RegistryDriver {
  readonly capabilities = { status: 'emulated', metadata: 'native' } as const;
  private readonly leases = new Map<LeaseKeeper, LeaseNode>();
  /** The session lives on and keeps the nodes of revoked leases alive: they are removed when it is connected again. */
  private readonly leftovers = new Set<Leftover>();
  private session: string | undefined;
  private checks: PeriodicTask | undefined;

  constructor(private readonly options: ZooKeeperRegistryOptions) {
    options.client.state.subscribe(({ phase, sessionId }) => {
      if (phase === 'connected') this.onConnected(sessionId);
    });
  }

  /** What is wanted of every lease at present. */
  get registrations(): readonly Registration[] {
    return [...this.leases.keys()].map((lease) => lease.registration);
  }

  /** Writes every record again, after what they say besides the registration has changed. */
  async rewrite(): Promise<void> {
    await Promise.all([...this.leases.keys()].map((lease) => lease.update({})));
  }

  register(registration: Registration): Lease {
    const { context, backend, adopt, assertOpen, createNode } = this.options;
    assertOpen();
    let onEvent = (): void => {};
    const node = createNode(registration, () => onEvent());
    if (this.options.fixedPaths) this.takeOver(registration);
    let disown = (): void => {};
    const lease: LeaseKeeper = new LeaseKeeper(registration, {
      clock: context.clock,
      backend,
      capabilities: this.capabilities,
      operations: node,
      backoff: { initialMs: 200, maxMs: this.options.maxRetryMs },
      random: () => context.random(),
      report: (event) => this.report(event, node),
      onRevoked: () => disown(),
    });
    onEvent = () => lease.renewNow();
    this.leases.set(lease, node);
    this.checks ??= this.startChecks();
    const release = adopt(() => lease.revoke(AbortSignal.abort()));
    disown = () => {
      node.release();
      this.leases.delete(lease);
      if (this.leases.size === 0) this.endChecks();
      release();
    };
    return lease;
  }

  /** Events tell of a node that is gone; this stands behind them. */
  private startChecks(): PeriodicTask {
    const { context, backend, rescanMs } = this.options;
    const task = new PeriodicTask({
      clock: context.clock,
      what: `the check of the registrations at ${backend}`,
      intervalMs: () => rescanMs,
      random: () => context.random(),
      run: () => {
        for (const lease of this.leases.keys()) lease.renewNow();
        return Promise.resolve();
      },
      onError: () => {},
    });
    task.start('after-interval');
    return task;
  }

  private endChecks(): void {
    // It has nothing under way: its end needn't be waited for.
    void this.checks?.stop();
    this.checks = undefined;
  }

  private onConnected(session: string | undefined): void {
    const isNew = session !== this.session;
    this.session = session;
    for (const lease of this.leases.keys()) {
      if (isNew) lease.forgotten();
      else lease.renewNow();
    }
    for (const leftover of this.leftovers) void this.remove(leftover);
  }

  private report(event: DiscoveryEvent, node: LeaseNode): void {
    if (event.type === 'registration.left') {
      for (const [lease, other] of this.leases) {
        if (other === node) this.leftovers.add({ node, registration: lease.registration });
      }
    }
    this.options.context.report(event);
  }

  /** A lease that is registered anew has the nodes that its predecessor left. */
  private takeOver({ service, instanceId }: Registration): void {
    for (const leftover of this.leftovers) {
      const { registration } = leftover;
      if (registration.service === service && registration.instanceId === instanceId) this.leftovers.delete(leftover);
    }
  }

  private async remove(leftover: Leftover): Promise<void> {
    try {
      await leftover.node.deregister(leftover.registration, AbortSignal.timeout(REMOVAL_TIMEOUT_MS));
      this.leftovers.delete(leftover);
    } catch {
      // Tried again on the next connection; with the session it is gone in any case.
    }
  }
}
