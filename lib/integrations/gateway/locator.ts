import type { Subscription } from 'rxjs';
import type { Clock, Logger } from '../../backend/index.js';
import type { DiscoveryClient } from '../../discovery/index.js';
import { describe, messageOf, type ServiceList } from '../../model/index.js';
import type { LocatorOptions } from './locator.options.js';
import { Route } from './route.js';
import type { RouteHandling } from './route.options.js';

/** The route of a service that is gone stays this long, in milliseconds: a restart is no reason for a 404. */
const KEPT_MS = 300_000;

/** Services whose metadata is watched, at most. */
const MAX_WATCHED = 1000;

/** What a {@link Locator} needs of its app. */
export interface LocatorParts {
  readonly discovery: DiscoveryClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** First segments of the app's own paths, which no service may take the place of. */
  readonly reserved: ReadonlySet<string>;
  /** Told of the routes when they have changed. */
  readonly onRoutes: (routes: readonly Route[]) => void;
}

/** Makes routes for the services that are included, as the registry tells of them. */
export class Locator {
  private readonly handling: RouteHandling;
  private readonly includes: (service: string) => boolean;
  private readonly excludes: (service: string) => boolean;
  private readonly routes = new Map<string, { readonly route: Route; goneAt: number | undefined }>();
  private readonly metadata = new Map<string, { readonly subscription: Subscription; matches: boolean }>();
  private readonly told = new Set<string>();
  private subscription: Subscription | undefined;
  private services: readonly string[] = [];
  /** Whether a registry has ever told. */
  isKnown = false;

  constructor(
    private readonly options: LocatorOptions,
    private readonly parts: LocatorParts,
  ) {
    const { include = [], exclude = [], includeMetadata: _m, prefix: _p, lowerCase: _l, ...handling } = options;
    this.handling = handling;
    this.includes = typeof include === 'function' ? include : matcher(include);
    this.excludes = matcher(exclude);
  }

  /** A route as it makes them: for what all have in common. */
  get sample(): Route {
    return new Route({ ...this.handling, path: '/**', service: 'any' }, 'locator');
  }

  /** Begins to follow the registry. */
  start(): void {
    this.subscription = this.parts.discovery.watchServices().subscribe({
      next: (list) => this.take(list),
      error: (error: unknown) => this.parts.logger.error(`the gateway's locator has no services: ${messageOf(error)}`),
    });
  }

  close(): void {
    this.subscription?.unsubscribe();
    for (const { subscription } of this.metadata.values()) subscription.unsubscribe();
    this.metadata.clear();
  }

  /** Whether a path could be that of a service which isn't known yet. */
  mayBecome(segments: readonly string[]): boolean {
    if (this.isKnown) return false;
    const prefix = segmentsOf(this.options.prefix ?? '');
    const name = segments[prefix.length];
    return name !== undefined && prefix.every((one, at) => one === segments[at]) && this.couldBe(name);
  }

  private couldBe(name: string): boolean {
    const { include = [] } = this.options;
    const names = this.options.lowerCase === false ? [name] : [name, name.toUpperCase()];
    if (typeof include === 'function') return names.some((one) => include(one));
    const folded = include.map((one) =>
      typeof one === 'string' && this.options.lowerCase !== false ? one.toLowerCase() : one,
    );
    return names.some(matcher(folded)) || names.some(matcher(include));
  }

  private take({ services }: ServiceList): void {
    this.isKnown = true;
    this.services = services;
    if (this.options.includeMetadata !== undefined) this.watchMetadata(this.options.includeMetadata);
    this.update();
  }

  private update(): void {
    const now = this.parts.clock.now();
    const included = new Set(
      this.services.filter(
        (service) =>
          !this.excludes(service) && (this.includes(service) || this.metadata.get(service)?.matches === true),
      ),
    );
    let changed = false;
    for (const [service, entry] of this.routes) {
      if (included.has(service)) entry.goneAt = undefined;
      else {
        entry.goneAt ??= now;
        // What is no longer to be shown goes at once; what isn't there may come back.
        if (this.services.includes(service) || now - entry.goneAt > KEPT_MS) changed = this.routes.delete(service);
      }
    }
    const paths = new Map([...this.routes].map(([service, { route }]) => [route.patterns[0]?.text, service]));
    for (const service of included) {
      if (this.routes.has(service)) continue;
      const route = this.routeOf(service);
      if (route === undefined) continue;
      const path = route.patterns[0]?.text;
      const other = paths.get(path);
      if (other !== undefined) {
        this.tellOnce(service, `has the path ${path}, which is that of ${describe(other)}`);
        continue;
      }
      paths.set(path, service);
      this.routes.set(service, { route, goneAt: undefined });
      changed = true;
    }
    if (changed) this.parts.onRoutes([...this.routes.values()].map(({ route }) => route));
  }

  /** Names come from outside: what can't be a path, or would take an own path's place, gets none. */
  private routeOf(service: string): Route | undefined {
    const { prefix = '', lowerCase = true } = this.options;
    const before = segmentsOf(prefix);
    const name = segmentsOf(lowerCase ? service.toLowerCase() : service);
    const segments = [...before, ...name];
    if (this.parts.reserved.has(segments[0] ?? '')) {
      this.tellOnce(service, `would take the place of this app's own /${segments[0] ?? ''}`);
      return undefined;
    }
    if (name.length === 0 || name.some((segment) => /[*{}:?#\\%]/.test(segment))) {
      this.tellOnce(service, 'it is no path of its own');
      return undefined;
    }
    try {
      const path = `/${segments.join('/')}/**`;
      return new Route({ ...this.handling, path, service, stripPrefix: segments.length }, 'locator');
    } catch (error) {
      this.tellOnce(service, messageOf(error));
      return undefined;
    }
  }

  private tellOnce(service: string, problem: string): void {
    if (this.told.has(service) || this.told.size >= MAX_WATCHED) return;
    this.told.add(service);
    this.parts.logger.warn(`the gateway makes no route for ${describe(service)}: ${problem}`);
  }

  private watchMetadata(wanted: Readonly<Record<string, string>>): void {
    const present = new Set(this.services);
    for (const [service, { subscription }] of this.metadata) {
      if (present.has(service)) continue;
      subscription.unsubscribe();
      this.metadata.delete(service);
    }
    for (const service of this.services) {
      if (this.metadata.has(service) || this.excludes(service)) continue;
      if (this.metadata.size >= MAX_WATCHED) {
        this.tellOnce(service, `more than ${MAX_WATCHED} services would have to be watched for their metadata`);
        return;
      }
      this.watchOne(service, wanted);
    }
  }

  private watchOne(service: string, wanted: Readonly<Record<string, string>>): void {
    let matches = false;
    try {
      const subscription = this.parts.discovery.watchInstances(service).subscribe(({ instances }) => {
        // A service without instances keeps what it was: it is restarting.
        if (instances.length === 0) return;
        const now = instances.some(({ metadata }) =>
          Object.entries(wanted).every(([key, value]) => metadata[key] === value),
        );
        if (now === matches) return;
        matches = now;
        const entry = this.metadata.get(service);
        if (entry === undefined) return;
        entry.matches = now;
        this.update();
      });
      this.metadata.set(service, { subscription, matches });
    } catch (error) {
      this.tellOnce(service, messageOf(error));
    }
  }
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}

/** Whether a name is one of these, `*` standing for any letters. */
function matcher(patterns: readonly (string | RegExp)[]): (name: string) => boolean {
  const tests = patterns.map((one) =>
    typeof one === 'string'
      ? new RegExp(`^${one.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`)
      : // A flag that remembers would make every other test fail.
        new RegExp(one.source, one.flags.replace(/[gy]/g, '')),
  );
  return (name) => tests.some((test) => test.test(name));
}
