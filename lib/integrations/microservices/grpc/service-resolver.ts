import { noSnapshot, type ServiceView, type ViewLease } from '../../../discovery/index.js';
import { messageOf } from '../../../model/index.js';
import type { ResolverListener } from './grpc-port.js';
import type { GrpcService } from './grpc-service.js';

/**
 * Tells a channel where the instances of a service are, whenever that has changed. A channel asks for it again whenever a
 * connection breaks, and `round_robin` each time that it is told: an answer to that without news would go on for ever, and is
 * none that would help. So it makes the registries be asked, now and then.
 */
export class ServiceResolver {
  private lease: ViewLease | undefined;
  private unsubscribe: (() => void) | undefined;
  /** What was told last. */
  private told: string | undefined;
  private isAsking = false;

  constructor(
    private readonly service: GrpcService,
    private readonly listener: ResolverListener,
  ) {}

  /** @internal Called by grpc-js. */
  updateResolution(): void {
    if (this.told !== undefined) this.service.refreshSoon();
    else if (!this.isAsking) void this.ask();
  }

  /** @internal Called by grpc-js, which may begin again afterwards: an idle channel. */
  destroy(): void {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    this.lease?.release();
    this.lease = undefined;
    this.told = undefined;
  }

  private async ask(): Promise<void> {
    this.isAsking = true;
    try {
      // Never told while it is still being asked.
      await Promise.resolve();
      const { view } = (this.lease ??= this.service.acquire());
      this.unsubscribe ??= view.subscribe(() => this.tell(view));
      const { firstSnapshotTimeoutMs, views } = this.service.app;
      const snapshot = await view.settled(firstSnapshotTimeoutMs);
      if (this.lease?.view !== view || this.told !== undefined) return;
      if (snapshot.state === 'unknown') this.fail(noSnapshot(view, firstSnapshotTimeoutMs, views.now));
      else this.tell(view);
    } catch (error) {
      this.fail(error);
    } finally {
      this.isAsking = false;
    }
  }

  private tell(view: ServiceView): void {
    if (view.current.state === 'unknown' || this.lease?.view !== view) return;
    const { service } = this;
    const addresses = service.addresses();
    const told = addresses.map(({ instance, host, port }) => `${instance.url} ${host}:${port}`).join('\n');
    if (told === this.told) return;
    this.told = told;
    const endpoints = addresses.map(({ host, port }) => ({ addresses: [{ host, port }] }));
    this.listener.resolved(endpoints, service.config, service.selector, service.attributes);
  }

  private fail(error: unknown): void {
    const { library } = this.service;
    const { status, Metadata } = library;
    this.listener.failed({ code: status.UNAVAILABLE, details: messageOf(error), metadata: new Metadata() });
  }
}
