import { durationOf } from '../../backend/index.js';
import { withDeadline, SingleFlight } from '../../backend/machinery/index.js';
import { explain, type ConfigExplanation } from '../../config/index.js';
import { defined, messageOf, type DiscoveryError } from '../../model/index.js';
import type { AppRegistration, DiscoveryTelemetry } from '../../nest/index.js';
import type { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import type { InstanceTelemetry, ServiceTelemetry, TelemetrySnapshot } from '../../observability/index.js';
import { Refusal } from './exchange.js';
import type { EventFeed } from './event-feed.js';
import { shown } from './event-text.js';
import { maskedMetadata, maskedValue } from './masked.js';

/** Which part of a long list is wanted. */
export interface Part {
  readonly offset: number;
  readonly limit: number;
  /** Only names that have this text in them, in whatever case; empty for all. */
  readonly search: string;
}

/** How long a refresh, or a list that is asked of the registries, may take, in milliseconds. */
const PATIENCE_MS = 10_000;

/** How long a change of the registration may take to come to every registry, in milliseconds. */
export const CHANGE_MS = 3000;

/** How long the names of all services are good for, in milliseconds: fifty browsers ask a registry no more often than one. */
const NAMES_KEPT_MS = 5000;

/** How long what was seen is good for, in milliseconds. */
const SNAPSHOT_KEPT_MS = 200;

/** Health of a service, the worst first. */
const RANKS = { unknown: 0, stale: 1, fresh: 2 } as const;

/** Routes of a gateway, the worst first. */
const CIRCUITS = { open: 0, 'half-open': 1, closed: 2, unknown: 3 } as const;

/** Routes that are shown. */
const MAX_ROUTES = 200;

/** Everything that is shown of an app, as JSON; of secrets nothing. */
export class OperatorState {
  private readonly flights = new SingleFlight<unknown>();
  private seen: TelemetrySnapshot | undefined;
  private seenAt = 0;
  private sorted: { readonly of: object; readonly services: readonly ServiceTelemetry[] } | undefined;
  private summed: { readonly of: object; readonly totals: ReturnType<typeof totalsOf> } | undefined;
  private names: { readonly at: number; readonly all: readonly string[]; readonly error?: string } | undefined;

  constructor(
    private readonly runtime: DiscoveryRuntime,
    private readonly registration: AppRegistration,
    private readonly telemetry: DiscoveryTelemetry,
    private readonly feed: EventFeed,
    private readonly readOnly: boolean,
  ) {}

  /** What is to be seen at a glance. */
  overview() {
    const { options, tally } = this.runtime;
    const { application, profiles, zone } = options;
    return {
      at: options.clock.now(),
      app: {
        name: application,
        profiles,
        ...defined({ zone }),
        pid: process.pid,
        node: process.version,
        uptimeMs: Math.round(process.uptime() * 1000),
      },
      readiness: { ...this.registration.readiness, live: this.registration.isLive },
      registration: this.ownRegistration(),
      backends: this.backends(),
      configuration: this.configurationState(),
      services: this.totals(),
      routes: this.routes(),
      events: {
        counts: this.counts(),
        dropped: this.feed.dropped,
        streams: this.feed.open,
        skippedRecords: Object.fromEntries(tally.countsOf('record.skipped')),
      },
      readOnly: this.readOnly,
    };
  }

  /** The backends, and how they are. */
  backends() {
    return this.snapshot().backends.map(({ name, phase, since, error }) => ({
      name,
      phase,
      since,
      ...because(error),
    }));
  }

  /** The gateway's routes, those first that don't reach their service. */
  routes() {
    const { routes } = this.snapshot();
    return {
      total: routes.length,
      routes: routes
        .toSorted((a, b) => CIRCUITS[a.circuit] - CIRCUITS[b.circuit])
        .slice(0, MAX_ROUTES)
        .map((one) => ({ ...one, averageMs: Math.round(one.averageMs * 10) / 10 })),
    };
  }

  /** What this app has registered, where, and whether that is confirmed. */
  ownRegistration() {
    const { registration } = this;
    const { lease } = registration;
    const own = lease?.registration;
    const { registrations, at } = this.snapshot();
    return {
      registers: registration.registers,
      paused: registration.pausedFor ?? null,
      stopping: registration.shutdown.started,
      ...(own === undefined
        ? {}
        : {
            service: own.service,
            instanceId: own.instanceId,
            status: own.status,
            url: `${own.scheme}://${own.host.includes(':') ? `[${own.host}]` : own.host}:${own.port}`,
            metadata: maskedMetadata(own.metadata),
            tags: own.tags,
            weight: own.weight,
          }),
      registries: registrations.map((one) => ({
        backend: one.backend,
        service: one.service,
        instanceId: one.instanceId,
        phase: one.phase,
        ...(one.confirmedAt === undefined ? {} : { confirmedAgoMs: Math.max(0, at - one.confirmedAt) }),
        ...because(one.error),
      })),
    };
  }

  /**
   * What is registered once a pause, or its end, has come to every registry. It is in force at once, and comes to a registry that
   * doesn't answer when it does.
   *
   * @throws DiscoveryError `TIMEOUT` when a registry doesn't answer; `UNSUPPORTED` when it has no such thing
   */
  async changed(change: () => Promise<void>) {
    const { clock } = this.runtime.options;
    await withDeadline(clock, CHANGE_MS, undefined, 'telling the registries', change);
    this.seen = undefined;
    return this.ownRegistration();
  }

  /** How often each type of event happened. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.runtime.events.counts);
  }

  /**
   * The services that are watched, the worst first; with `known` those too that the registries have.
   * @throws DiscoveryError when no registry can be asked for them
   */
  async services({ offset, limit, search }: Part, known: boolean) {
    const watched = this.worstFirst();
    const others = known ? await this.allNames() : undefined;
    const names = others === undefined ? undefined : new Set(watched.map(({ service }) => service));
    const unwatched = others?.all.filter((name) => names?.has(name) !== true) ?? [];
    const wanted = search.toLowerCase();
    const isWanted = (name: string): boolean => name.toLowerCase().includes(wanted);
    const rows = wanted === '' ? watched : watched.filter(({ service }) => isWanted(service));
    const rest = unwatched.filter(isWanted);
    const page = [
      ...rows.slice(offset, offset + limit).map(serviceRow),
      ...rest
        .slice(Math.max(0, offset - rows.length), Math.max(0, offset + limit - rows.length))
        .map((service) => ({ service, watched: false })),
    ];
    return {
      at: this.runtime.options.clock.now(),
      total: rows.length + rest.length,
      watched: watched.length,
      offset,
      services: page,
      ...(others?.error === undefined ? {} : { error: others.error }),
    };
  }

  /**
   * One service with its instances. Whoever asks for one that isn't watched has it watched, for as long as it is asked for.
   * @throws DiscoveryError `INVALID_NAME`, `NO_SNAPSHOT`
   */
  async service(name: string, { offset, limit, search }: Part) {
    const { discovery, options } = this.runtime;
    if (this.runtime.views.watchedView(name) === undefined) await discovery.getSnapshot(name);
    const seen = this.telemetry.service(name);
    const instances = this.telemetry.instances(name) ?? [];
    const wanted = search.toLowerCase();
    const found = instances.filter(
      ({ instance }) => instance.id.toLowerCase().includes(wanted) || instance.url.includes(wanted),
    );
    const { routing } = options.callOptionsFor(name);
    const laneKey = routing.lane === undefined ? undefined : (routing.lane.metadata ?? 'lane');
    return {
      at: options.clock.now(),
      ...(seen === undefined ? { service: name, watched: false } : serviceRow(seen)),
      calls: instances.reduce((sum, { calls }) => sum + calls, 0),
      total: found.length,
      offset,
      instances: found.slice(offset, offset + limit).map((one) => instanceRow(one, laneKey)),
    };
  }

  /** The keys of the configuration, with their values and where they come from. */
  configuration({ offset, limit, search }: Part) {
    const tree = this.runtime.configStore.current;
    const wanted = search.toLowerCase();
    const keys = tree.keys.filter((key) => key.toLowerCase().includes(wanted));
    return {
      at: this.runtime.options.clock.now(),
      ...this.configurationState(),
      total: keys.length,
      offset,
      keys: keys.slice(offset, offset + limit).map((key) => explained(explain(tree, key))),
    };
  }

  /** Why a key has the value that it has. */
  explanation(key: string) {
    return explained(explain(this.runtime.configStore.current, key));
  }

  /** Asks registries and configuration anew: what they said by the end of it. */
  async refresh() {
    const { clock } = this.runtime.options;
    const within = (what: string, run: () => Promise<void>): Promise<unknown> =>
      this.flights.run(what, () => withDeadline(clock, PATIENCE_MS, undefined, what, run));
    const [services, configuration] = await Promise.allSettled([
      within('the refresh of the services', () => this.runtime.discovery.refresh()),
      within('the refresh of the configuration', () => this.runtime.config.refresh()),
    ]);
    return { services: outcomeOf(services), configuration: outcomeOf(configuration) };
  }

  /** Of a moment ago at most: fifty browsers ask no more often than a few. */
  private snapshot(): TelemetrySnapshot {
    const now = performance.now();
    if (this.seen === undefined || now - this.seenAt > SNAPSHOT_KEPT_MS) {
      this.seen = this.telemetry.snapshot();
      this.seenAt = now;
    }
    return this.seen;
  }

  private configurationState() {
    const { backends, since, problems } = this.snapshot().configuration;
    return {
      backends,
      since,
      keys: this.runtime.configStore.current.keys.length,
      problems: problems.map((problem) => ({ since: problem.since, ...because(problem.error) })),
    };
  }

  private worstFirst(): readonly ServiceTelemetry[] {
    const { services } = this.snapshot();
    if (this.sorted?.of !== services) this.sorted = { of: services, services: services.toSorted(byWorst) };
    return this.sorted.services;
  }

  private totals() {
    const { services } = this.snapshot();
    if (this.summed?.of !== services) this.summed = { of: services, totals: totalsOf(services) };
    return this.summed.totals;
  }

  private async allNames() {
    const { clock } = this.runtime.options;
    if (this.names !== undefined && clock.now() - this.names.at < NAMES_KEPT_MS) return this.names;
    await this.flights.run('names', async () => {
      const at = clock.now();
      try {
        const what = 'the list of services';
        const all = await withDeadline(clock, PATIENCE_MS, undefined, what, () => this.runtime.discovery.getServices());
        this.names = { at, all };
      } catch (error) {
        this.names = { at, all: this.names?.all ?? [], error: shown(messageOf(error)) };
      }
    });
    return this.names;
  }
}

/**
 * The reason of {@link AppRegistration.pause}, as it was sent.
 * @throws Refusal 400
 */
export function reasonOf(body: Readonly<Record<string, unknown>>): string {
  const { reason } = body;
  if (typeof reason !== 'string' || reason.trim() === '' || reason.length > 200) {
    throw new Refusal(400, 'reason must be a text of at most 200 characters: others will read why the app is paused');
  }
  return shown(reason.trim());
}

function totalsOf(services: readonly ServiceTelemetry[]) {
  const totals = { watched: services.length, stale: 0, unknown: 0, routable: 0, ejected: 0, down: 0 };
  for (const { state, routable, ejected, down } of services) {
    if (state !== 'fresh') totals[state] += 1;
    totals.routable += routable;
    totals.ejected += ejected;
    totals.down += down;
  }
  return totals;
}

function byWorst(a: ServiceTelemetry, b: ServiceTelemetry): number {
  return (
    RANKS[a.state] - RANKS[b.state] ||
    Number(b.ejected > 0) - Number(a.ejected > 0) ||
    (a.service < b.service ? -1 : Number(a.service > b.service))
  );
}

function serviceRow({ service, state, since, routable, ejected, down, partial, error }: ServiceTelemetry) {
  return { service, watched: true, state, since, routable, ejected, down, partial, ...because(error) };
}

function instanceRow(one: InstanceTelemetry, laneKey: string | undefined) {
  const { instance, state, ejectedForMs, onProbation, pending, calls, failures, latencyMs, health } = one;
  const { id, url, status, weight, zone, tags, metadata, backend } = instance;
  return {
    id,
    url,
    status,
    state,
    ejectedForMs: Math.round(ejectedForMs),
    ...(ejectedForMs > 0 ? { ejectedFor: durationOf(ejectedForMs) } : {}),
    onProbation,
    pending,
    calls,
    failures,
    latencyMs: Math.round(latencyMs * 100) / 100,
    health: Math.round(health * 1000) / 1000,
    weight,
    ...defined({ zone, lane: laneKey === undefined ? undefined : metadata[laneKey] }),
    tags,
    metadata: maskedMetadata(metadata),
    backend,
  };
}

function explained({ value, written, overrides, ...rest }: ConfigExplanation) {
  return {
    ...rest,
    ...defined({ value: maskedValue(value), written: maskedValue(written) }),
    overrides: overrides.map((one) => ({ ...one, value: maskedValue(one.value) })),
  };
}

function because(error: DiscoveryError | undefined): { readonly error?: { code: string; message: string } } {
  return error === undefined ? {} : { error: { code: error.code, message: shown(error.message) } };
}

function outcomeOf(result: PromiseSettledResult<unknown>): string {
  return result.status === 'fulfilled' ? 'done' : shown(messageOf(result.reason));
}
