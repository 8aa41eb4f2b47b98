import type { View } from '../backend/index.js';
import type { Snapshot } from '../model/index.js';

/** A service that the app can't work without: its name, or with how many instances there must be. */
export type RequiredService = string | { readonly name: string; readonly atLeast?: number };

/** What {@link RequiredServices} needs of the views. */
export interface SnapshotSource {
  acquire(service: string): { readonly view: View<Snapshot>; release(): void };
}

/**
 * Watches the services that the app requires. What a registry said before it went away still counts: an outage of the
 * registry takes nobody out of service.
 */
export class RequiredServices {
  private readonly watched: { readonly name: string; readonly atLeast: number; readonly view: View<Snapshot> }[] = [];
  private readonly releases: (() => void)[] = [];

  constructor(private readonly required: readonly RequiredService[]) {}

  /** Begins to watch; `changed` is told whenever the answer may be another. */
  start(views: SnapshotSource, changed: () => void): void {
    for (const entry of this.required) {
      const { name, atLeast = 1 } = typeof entry === 'string' ? { name: entry } : entry;
      const { view, release } = views.acquire(name);
      this.watched.push({ name, atLeast, view });
      this.releases.push(view.subscribe(changed), release);
    }
  }

  /** What is missing, in words. */
  missing(): readonly string[] {
    if (this.watched.length < this.required.length) return ['the required services are not known yet'];
    return this.watched.flatMap(({ name, atLeast, view }) => {
      const up = view.current.instances.filter(({ status, weight }) => status === 'UP' && weight > 0).length;
      return up >= atLeast ? [] : [`requires ${atLeast} of ${name}, of which ${up} can be called`];
    });
  }

  /** Ends it. */
  close(): void {
    for (const release of this.releases.splice(0)) release();
  }
}
