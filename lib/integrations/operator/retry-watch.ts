import type { Clock, Timer, Unsubscribe } from '../../backend/index.js';
import type { CallObserver } from '../../observability/index.js';
import type { DiscoveryTelemetry } from '../../nest/index.js';
import { shown } from './event-text.js';
import type { EventFeed } from './event-feed.js';

/** How often it is told what was tried again, in milliseconds. */
const EVERY_MS = 1000;

/** Services that are told apart in one go. */
const MAX_SERVICES = 20;

interface Counts {
  retry: number;
  hedge: number;
  refused: number;
}

/** Tells of calls that were tried again, once a second for each service, while somebody watches; calls cost nothing otherwise. */
export class RetryWatch {
  private readonly counts = new Map<string, Counts>();
  private stop: Unsubscribe | undefined;
  private timer: Timer | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly telemetry: DiscoveryTelemetry,
    private readonly feed: () => EventFeed,
  ) {}

  /** Begins or ends to listen to calls. */
  readonly watch = (watched: boolean): void => {
    if (watched) this.stop ??= this.telemetry.onCall(this.observer);
    else {
      this.stop?.();
      this.stop = undefined;
      this.timer?.cancel();
      this.timer = undefined;
      this.counts.clear();
    }
  };

  private readonly observer: CallObserver = {
    begin: ({ service }) => ({
      attempt: ({ reason }) => {
        if (reason !== 'first') this.count(service, reason);
        return undefined;
      },
      retryRefused: () => this.count(service, 'refused'),
    }),
  };

  private count(service: string, what: keyof Counts): void {
    if (this.stop === undefined) return;
    const name = this.counts.has(service) || this.counts.size < MAX_SERVICES ? service : 'other services';
    let counts = this.counts.get(name);
    if (counts === undefined) this.counts.set(name, (counts = { retry: 0, hedge: 0, refused: 0 }));
    counts[what] += 1;
    this.timer ??= this.clock.setTimer(() => this.tell(), EVERY_MS, { background: true });
  }

  private tell(): void {
    this.timer = undefined;
    for (const [service, { retry, hedge, refused }] of this.counts) {
      const parts = [
        ...(retry > 0 ? [`${retry} ${retry === 1 ? 'try' : 'tries'} again at another instance`] : []),
        ...(hedge > 0 ? [`${hedge} besides one that took long`] : []),
        ...(refused > 0 ? [`${refused} not tried again: the retry budget is used up`] : []),
      ];
      this.feed().tell({
        type: 'calls',
        level: refused > 0 ? 'bad' : 'warn',
        service,
        text: shown(`${service}: ${parts.join(', ')}`),
      });
    }
    this.counts.clear();
  }
}
