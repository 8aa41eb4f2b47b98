import {
  openFeed,
  sleep,
  type Feed,
  type FeedReport,
  type FeedSource,
  type PullSource,
  type PushSource,
} from '../../../lib/backend/index.js';
import { DiscoveryError } from '../../../lib/model/index.js';
import type { ManualClock } from '../../../lib/testing/index.js';
import { untilAborted } from './helpers.js';

/** What a reading gives: the version that the server had when it was asked. */
export interface Version {
  readonly version: number;
}

/** The ways in which products tell. */
export type Kind = 'events' | 'gathered events' | 'rounds' | 'long poll' | 'push';
export const KINDS: readonly Kind[] = ['events', 'gathered events', 'rounds', 'long poll', 'push'];

/** A server with one value that counts upwards, and what happens to real ones. */
export class FeedServer {
  version = 0;
  state: 'up' | 'down' | 'silent' = 'up';
  latencyMs = 0;
  reading = 0;
  mostAtOnce = 0;
  private readonly observers = new Set<() => void>();

  constructor(private readonly clock: ManualClock) {}

  change(): void {
    this.version += 1;
    if (this.state === 'up') this.tell();
  }

  become(state: 'up' | 'down' | 'silent'): void {
    this.state = state;
    this.tell();
  }

  source(kind: Kind): FeedSource<Version> {
    const what = `the ${kind}`;
    const keep = (previous: Version, next: Version): Version => (previous.version === next.version ? previous : next);
    if (kind === 'push') return { what, keep, timeoutMs: 2000, ...this.pushing() };
    const retry = { initialMs: 100, maxMs: 1000 };
    const read = ({ signal }: { readonly signal: AbortSignal }): Promise<Version> => this.answer(signal);
    const follow: PullSource<Version>['follow'] = ({ again, failed }) =>
      this.observe(() => {
        if (this.state === 'down') failed(new Error('the connection is gone'));
        else again(this.version % 2 === 0 ? String(this.version) : undefined);
      });
    switch (kind) {
      case 'events':
        return { what, keep, retry, timeoutMs: 2000, read, follow };
      case 'gathered events':
        return { what, keep, retry, timeoutMs: 2000, gatherMs: 20, tickMs: () => 250, everyMs: 3000, read, follow };
      case 'rounds':
        return { what, keep, retry, timeoutMs: 2000, everyMs: 1000, read };
      case 'long poll':
        return { what, keep, retry, timeoutMs: 5000, waits: { burst: 2, intervalMs: 100 }, ...this.waiting() };
    }
  }

  /** A cursor, and a question that is answered when the value has moved past it. */
  private waiting(): Pick<PullSource<Version>, 'read'> {
    let cursor = -1;
    return {
      read: async ({ changed, signal }) => {
        if (changed !== 'all') {
          for (let left = 20; left > 0 && this.state === 'up' && this.version === cursor; left -= 1) {
            if (!(await sleep(this.clock, 100, signal))) throw new Error('broken off');
          }
        }
        const answer = await this.answer(signal);
        cursor = answer.version;
        return answer;
      },
    };
  }

  private pushing(): Pick<PushSource<Version>, 'follow' | 'refresh'> {
    let tell: (value: Version) => void = () => {};
    return {
      follow: ({ value, failed }) => {
        tell = value;
        const push = (): void => {
          if (this.state === 'up') value({ version: this.version });
          else if (this.state === 'down') failed(new Error('down'));
        };
        push();
        return this.observe(push);
      },
      refresh: async (signal) => {
        const before = this.version;
        const answer = await this.answer(signal);
        // A push has overtaken it.
        tell(this.version > before ? { version: this.version } : answer);
      },
    };
  }

  private async answer(signal: AbortSignal): Promise<Version> {
    this.reading += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.reading);
    try {
      const { version } = this;
      if (this.latencyMs > 0 && !(await sleep(this.clock, this.latencyMs, signal))) throw new Error('aborted');
      if (this.state === 'silent') await untilAborted(signal);
      if (this.state === 'down') throw new DiscoveryError('BACKEND_UNAVAILABLE', 'down');
      return { version };
    } finally {
      this.reading -= 1;
    }
  }

  private observe(observer: () => void): () => Promise<void> {
    this.observers.add(observer);
    return async () => void this.observers.delete(observer);
  }

  private tell(): void {
    for (const observer of this.observers) observer();
  }

  /** How many listen. */
  get observed(): number {
    return this.observers.size;
  }

  open(kind: Kind, report: (report: FeedReport<Version>) => void, outcomes: string[] = []): Feed {
    const { clock } = this;
    return openFeed(
      this.source(kind),
      {
        clock,
        random: () => 0.5,
        backend: 'scripted',
        onOutcome: (error) => outcomes.push(error?.code ?? 'ok'),
        onListenerError: () => {},
        onClosed: () => outcomes.push('closed'),
      },
      report,
    );
  }
}
