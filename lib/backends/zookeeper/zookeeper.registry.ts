import type { DriverHost, Lease, LeaseKeeper, RegistryDriver } from '../../backend/index.js';
import type { Registration } from '../../model/index.js';
import type { ZooKeeperClient } from './client/zookeeper-client.js';
import type { LeaseNode } from './zookeeper.lease-node.js';

/** What the driver needs besides its backend. */
export interface ZooKeeperRegistryOptions {
  readonly client: ZooKeeperClient;
  /** Milliseconds between looks at a node that nobody said was gone. */
  readonly rescanMs: number;
  /** The longest time between tries to write a node, in milliseconds. */
  readonly maxRetryMs: number;
  /** The node of a new lease, in the layout; `onEvent` is to be told of its events. */
  readonly createNode: (onEvent: () => void) => LeaseNode;
  /** Refuses a registration that can't be written. */
  readonly check?: (registration: Registration) => void;
  /** Whether the next lease of an instance has the path of the one before. */
  readonly fixedPaths: boolean;
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
  private readonly leases = new Set<LeaseKeeper>();
  /** The session lives on and keeps the nodes of revoked leases alive: they are removed when it is connected again. */
  private readonly leftovers = new Set<Leftover>();
  private session: string | undefined;

  constructor(
    private readonly host: DriverHost,
    private readonly options: ZooKeeperRegistryOptions,
  ) {
    options.client.state.subscribe(({ phase, sessionId }) => {
      if (phase === 'connected') this.onConnected(sessionId);
    });
  }

  /** What is wanted of every lease at present. */
  get registrations(): readonly Registration[] {
    return [...this.leases].map((lease) => lease.registration);
  }

  /** Writes every record again, after what they say besides the registration has changed. */
  async rewrite(): Promise<void> {
    await Promise.all([...this.leases].map((lease) => lease.update({})));
  }

  register(registration: Registration): Lease {
    const { rescanMs, maxRetryMs, createNode, fixedPaths, check } = this.options;
    this.host.assertOpen();
    let kept: LeaseKeeper | undefined;
    const node = createNode(() => kept?.renewNow());
    if (fixedPaths) this.takeOver(registration);
    return this.host.lease(registration, node, {
      capabilities: this.capabilities,
      check,
      // Events tell of a node that is gone; this stands behind them.
      renewEveryMs: () => rescanMs,
      backoff: { initialMs: 200, maxMs: maxRetryMs },
      follow: (lease) => {
        kept = lease;
        this.leases.add(lease);
        return () => {
          node.release();
          this.leases.delete(lease);
        };
      },
      onEvent: ({ type }) => {
        if (type !== 'registration.left' || kept === undefined) return;
        this.leftovers.add({ node, registration: kept.registration });
      },
    });
  }

  private onConnected(session: string | undefined): void {
    const isNew = session !== this.session;
    this.session = session;
    for (const lease of this.leases) {
      if (isNew) lease.forgotten();
      else lease.renewNow();
    }
    for (const leftover of this.leftovers) void this.remove(leftover);
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
