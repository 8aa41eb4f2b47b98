import { channel } from 'node:diagnostics_channel';
import type { DiscoveryEvent, DiscoveryEventType } from '../model/index.js';
import type { Unsubscribe } from '../backend/index.js';

/** Name of the `diagnostics_channel` that carries every {@link DiscoveryEvent} of every app of the process. */
export const DIAGNOSTICS_CHANNEL = 'nestjs-service-discovery';

/** What a subscriber of the diagnostics channel gets. */
export interface DiagnosticsMessage {
  readonly appId: string;
  readonly event: DiscoveryEvent;
}

type EventOf<T extends DiscoveryEventType> = Extract<DiscoveryEvent, { readonly type: T }>;

/** The events of one app: counted, handed to listeners, and published on the diagnostics channel. */
export class EventHub {
  private readonly listeners = new Set<{ readonly call: (event: DiscoveryEvent) => void }>();
  private readonly counters = new Map<DiscoveryEventType, number>();
  private readonly diagnostics = channel(DIAGNOSTICS_CHANNEL);

  constructor(private readonly appId: string) {}

  /** How often each type of event happened since the app started. */
  get counts(): ReadonlyMap<DiscoveryEventType, number> {
    return this.counters;
  }

  /** Tells an event. Never throws: a failing listener is told to the others, once. */
  report(event: DiscoveryEvent): void {
    this.counters.set(event.type, (this.counters.get(event.type) ?? 0) + 1);
    for (const listener of Array.from(this.listeners)) {
      try {
        listener.call(event);
      } catch (error) {
        // The failure of a listener that listens to failures is counted and goes no further.
        if (event.type === 'listener.failed') this.counters.set(event.type, (this.counters.get(event.type) ?? 0) + 1);
        else this.report({ type: 'listener.failed', where: `listener of ${event.type}`, error });
      }
    }
    if (this.diagnostics.hasSubscribers) {
      this.diagnostics.publish({ appId: this.appId, event } satisfies DiagnosticsMessage);
    }
  }

  /** Calls `listener` for every event from now on. */
  subscribe(listener: (event: DiscoveryEvent) => void): Unsubscribe {
    const entry = { call: listener };
    this.listeners.add(entry);
    return () => {
      this.listeners.delete(entry);
    };
  }

  /** Calls `listener` for every event of one type from now on. */
  on<T extends DiscoveryEventType>(type: T, listener: (event: EventOf<T>) => void): Unsubscribe {
    return this.subscribe((event) => {
      if (event.type === type) listener(event as EventOf<T>);
    });
  }

  /** Forgets every listener. */
  close(): void {
    this.listeners.clear();
  }
}
