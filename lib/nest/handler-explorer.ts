import { diffInstances, type Snapshot } from '../model/index.js';
import { methodOf, type AppInstances } from './app-instances.js';
import { declarationsFor, type Handler } from './declarations.js';
import type { DiscoveryRuntime } from './discovery-runtime.js';

/** Subscribes the methods that `@OnConfigChange`, `@OnInstancesChange` and `@HealthCheckOf` decorate. */
export class HandlerExplorer {
  private readonly seen = new WeakSet<object>();
  private readonly releases: (() => void)[] = [];
  private scheduled = false;
  private closed = false;

  constructor(
    private readonly instances: AppInstances,
    private readonly runtime: DiscoveryRuntime,
  ) {}

  /** Subscribes what isn't yet. */
  explore(): void {
    for (const { instance, name } of this.instances.all()) {
      if (this.seen.has(instance)) continue;
      this.seen.add(instance);
      for (const handler of declarationsFor(instance).handlers) this.subscribe(instance, name, handler);
    }
    for (const { prototype, name } of this.instances.shortLived()) {
      if (this.seen.has(prototype)) continue;
      this.seen.add(prototype);
      if (declarationsFor(Object.create(prototype) as object).handlers.length === 0) continue;
      this.runtime.logger.warn(
        `${name} is request-scoped or transient: its @OnConfigChange, @OnInstancesChange and @HealthCheckOf methods are never called`,
      );
    }
  }

  /** Explores again soon: an instance with handlers has come into being, and will be complete then. */
  readonly exploreSoon = (): void => {
    if (this.scheduled || this.closed) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      if (!this.closed) this.explore();
    });
  };

  /** Takes every subscription back. */
  close(): void {
    this.closed = true;
    for (const release of this.releases.splice(0)) release();
  }

  private subscribe(instance: object, name: string, { kind, subject, type, method }: Handler): void {
    const call = (...args: readonly unknown[]): void => {
      const where = `${name}.${String(method)}`;
      const failed = (error: unknown): void => this.runtime.events.report({ type: 'listener.failed', where, error });
      try {
        const result = methodOf(instance, method)?.(...args);
        if (result instanceof Promise) result.catch(failed);
      } catch (error) {
        failed(error);
      }
    };
    if (kind === 'health') {
      this.runtime.health.add(subject, () => methodOf(instance, method)?.());
      return;
    }
    if (type !== undefined) {
      this.releases.push(this.runtime.configObjects.onChange(type, call));
      return;
    }
    if (kind === 'config') {
      this.releases.push(this.runtime.config.onChange(subject, call));
      return;
    }
    const { view, release } = this.runtime.views.acquire(subject);
    let before: Snapshot = view.current;
    const unsubscribe = view.subscribe((snapshot) => {
      const previous = before;
      before = snapshot;
      if (previous.instances !== snapshot.instances)
        call(snapshot, diffInstances(previous.instances, snapshot.instances));
    });
    this.releases.push(unsubscribe, release);
  }
}
