import type { Balancers } from '../../balancing/index.js';
import type { Clock } from '../../backend/index.js';
import type { ServiceView, ServiceViews, ViewLease } from '../../discovery/index.js';
import type { Bulkheads, CallRouting, IncomingHeaders, ResolvedCallOptions } from '../../http/index.js';
import type { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import type { CallTelemetry } from '../../observability/index.js';
import { CalledService } from './called-service.js';

/** What calls need of an app. */
export interface CallApp {
  readonly views: ServiceViews;
  readonly balancers: Balancers;
  readonly bulkheads: Bulkheads;
  readonly clock: Clock;
  readonly firstSnapshotTimeoutMs: number;
  readonly routing: CallRouting;
  readonly incoming: IncomingHeaders;
  readonly calls: CallTelemetry;
}

/** What calls need of an app. */
export function callAppOf({
  views,
  balancers,
  bulkheads,
  routing,
  incoming,
  calls,
  options,
}: DiscoveryRuntime): CallApp {
  const { clock, firstSnapshotTimeoutMs } = options;
  return { views, balancers, bulkheads, clock, firstSnapshotTimeoutMs, routing, incoming, calls };
}

/** A service that is called by one protocol: watched for as long as somebody takes part. */
export class WatchedService {
  private readonly callees = new WeakMap<ServiceView, CalledService>();
  private current: CalledService | undefined;

  constructor(
    readonly app: CallApp,
    readonly name: string,
    readonly options: ResolvedCallOptions,
    /** Of the instances that are called; undefined: any. */
    private readonly schemes: readonly string[] | undefined,
  ) {}

  /** Takes part in the watch of the service. @throws DiscoveryError `BACKEND_CLOSED` */
  acquire(): ViewLease {
    const lease = this.app.views.acquire(this.name);
    let called = this.callees.get(lease.view);
    if (called === undefined) {
      const { app, options, schemes } = this;
      const { clock } = app;
      const balancer = app.balancers.of(lease.view);
      const bulkhead = app.bulkheads.of(balancer, this.name, options, clock);
      called = new CalledService(balancer, options, schemes, () => clock.now(), bulkhead);
      this.callees.set(lease.view, called);
    }
    this.current = called;
    return lease;
  }

  /** Whom calls go to. */
  get called(): CalledService {
    if (this.current === undefined) throw new Error(`${this.name} isn't watched`);
    return this.current;
  }
}
