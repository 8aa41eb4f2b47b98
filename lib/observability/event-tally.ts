import type { Clock } from '../backend/index.js';
import type { BackendState, DiscoveryEvent, DiscoveryEventType } from '../model/index.js';

/** Stands for the backend of what concerns all of them together: a merged configuration that was refused. */
export const MERGED = 'merged';

/** What the events of an app add up to, by backend; and when each backend came into its phase. */
export class EventTally {
  private readonly counters = new Map<DiscoveryEventType, Map<string, number>>();
  private readonly phases = new Map<string, { readonly phase: BackendState['phase']; readonly since: number }>();
  private readonly startedAt: number;

  constructor(private readonly clock: Clock) {
    this.startedAt = clock.now();
  }

  /** Takes an event into account. */
  readonly take = (event: DiscoveryEvent): void => {
    if (event.type === 'backend.state') {
      const { backend, state } = event;
      if (this.phases.get(backend)?.phase !== state.phase)
        this.phases.set(backend, { phase: state.phase, since: this.clock.now() });
    }
    for (const backend of backendsOf(event)) {
      let counts = this.counters.get(event.type);
      if (counts === undefined) this.counters.set(event.type, (counts = new Map()));
      counts.set(backend, (counts.get(backend) ?? 0) + 1);
    }
  };

  /** How often events of a type happened since the app started, by backend. */
  countsOf(type: DiscoveryEventType): ReadonlyMap<string, number> {
    return this.counters.get(type) ?? NONE;
  }

  /** When a backend came into its phase, in milliseconds since the epoch. */
  since(backend: string): number {
    return this.phases.get(backend)?.since ?? this.startedAt;
  }
}

const NONE: ReadonlyMap<string, number> = new Map();

function backendsOf(event: DiscoveryEvent): readonly string[] {
  if (event.type === 'config.changed') return event.backends ?? [MERGED];
  if (event.type === 'config.rejected') return [event.backend ?? event.error.backend ?? MERGED];
  return 'backend' in event ? [event.backend] : [];
}
