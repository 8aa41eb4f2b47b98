import type { Unsubscribe } from '../backend/index.js';
import { OTHER } from './bounded-names.js';

/** A route of a gateway. */
export interface RouteOfService {
  readonly id: string;
  readonly service: string;
}

/** What is told of a request that a gateway has passed on; the objects of equal labels are one, and frozen. */
export interface RouteLabels {
  /** The route's id; `other` beyond the limit, and for what came by none. */
  readonly route: string;
  readonly service: string;
  /** `2xx` …; `broken`: it broke off after its head; `gone`: whoever asked did not wait for it. */
  readonly status: string;
}

/** Told of each request that has ended, with how long it took in seconds. */
export type RouteListener = (labels: RouteLabels, seconds: number) => void;

/** What became of the requests of one route since the app started. */
export interface RouteCounts {
  readonly requests: number;
  /** Those that were answered with 5xx or not to their end. */
  readonly failed: number;
  /** What all of them took together, in milliseconds. */
  readonly totalMs: number;
}

const NOTHING: RouteCounts = Object.freeze({ requests: 0, failed: 0, totalMs: 0 });

/** Keeps account of what a gateway passes on, by its routes. One for each app; empty where there is no gateway. */
export class RouteLedger {
  /** The routes that are in force; a gateway sets it. */
  routes: () => readonly RouteOfService[] = () => [];
  private readonly entries = new Map<string, Entry>();
  private listeners: readonly RouteListener[] = [];

  /** @param maxRoutes how many are told apart; all others are `other` */
  constructor(private readonly maxRoutes = 1000) {}

  /** @returns takes it back */
  observe(listener: RouteListener): Unsubscribe {
    const own: RouteListener = (labels, seconds) => listener(labels, seconds);
    this.listeners = [...this.listeners, own];
    return () => void (this.listeners = this.listeners.filter((one) => one !== own));
  }

  /**
   * A request has ended.
   * @param route undefined for one that came by no route
   * @param status what was answered; 0 when whoever asked was gone before
   */
  ended(route: string | undefined, service: string, status: number, isBroken: boolean, tookMs: number): void {
    const entry = this.entryOf(route, service);
    entry.requests += 1;
    entry.totalMs += tookMs;
    if (isBroken || status >= 500) entry.failed += 1;
    if (this.listeners.length === 0) return;
    const labels = entry.labels(isBroken ? 'broken' : status === 0 ? 'gone' : `${Math.floor(status / 100)}xx`);
    for (const listener of this.listeners) listener(labels, tookMs / 1000);
  }

  countsOf(route: string): RouteCounts {
    return this.entries.get(route) ?? NOTHING;
  }

  private entryOf(route: string | undefined, service: string): Entry {
    const known = this.entries.get(route ?? OTHER);
    if (known !== undefined && (route === undefined || known.service === service)) return known;
    const isKept = route !== undefined && (known !== undefined || this.entries.size < this.maxRoutes);
    const label = isKept ? route : OTHER;
    let entry = isKept ? undefined : this.entries.get(OTHER);
    // What leads to another service now is another route.
    if (entry === undefined) this.entries.set(label, (entry = new Entry(label, isKept ? service : OTHER)));
    return entry;
  }
}

class Entry implements RouteCounts {
  requests = 0;
  failed = 0;
  totalMs = 0;
  private readonly byStatus = new Map<string, RouteLabels>();

  constructor(
    readonly route: string,
    readonly service: string,
  ) {}

  labels(status: string): RouteLabels {
    let labels = this.byStatus.get(status);
    if (labels === undefined) {
      labels = Object.freeze({ route: this.route, service: this.service, status });
      this.byStatus.set(status, labels);
    }
    return labels;
  }
}
