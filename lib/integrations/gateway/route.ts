import type { IncomingMessage } from 'node:http';
import { assertServiceName, DiscoveryError } from '../../model/index.js';
import type { ForwardOptions } from './forward-options.js';
import type { NormalPath } from './normal-path.js';
import { PathPattern, PathTemplate, type PathMatch } from './path-pattern.js';
import type { GatewayRoute, RouteConditions, RouteGuard } from './route.options.js';
import type { Destination } from './service-proxy.js';

/** A route, ready to be matched. */
export class Route {
  readonly id: string;
  readonly service: string;
  readonly guards: readonly RouteGuard[];
  readonly takesWebSockets: boolean;
  /** How its requests are passed on. */
  readonly options: ForwardOptions;
  readonly patterns: readonly PathPattern[];
  /** What guards are shown as the handler. */
  readonly handler: () => void;
  private readonly template: PathTemplate | undefined;
  private readonly strip: number;
  private readonly conditions: Conditions;

  /**
   * @param field where it stands, for errors: `routes[2]`
   * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
   */
  constructor(given: GatewayRoute, field: string) {
    const { path, service, when = {}, stripPrefix, rewrite, id, guards, metadata, webSockets, ...options } = given;
    assertServiceName(service, `${field}.service`);
    const paths = typeof path === 'string' ? [path] : path;
    if (paths.length === 0)
      throw new DiscoveryError('INVALID_OPTION', `the gateway: ${field}.path is empty`, { field });
    if (rewrite !== undefined && stripPrefix !== undefined) {
      throw new DiscoveryError('INVALID_OPTION', `the gateway: ${field} has both rewrite and stripPrefix: choose one`, {
        field: `${field}.stripPrefix`,
      });
    }
    this.patterns = paths.map((one) => new PathPattern(one, `${field}.path`));
    this.template = rewrite === undefined ? undefined : PathTemplate.of(rewrite, this.patterns, `${field}.rewrite`);
    this.strip = stripPrefix ?? 0;
    this.service = service;
    this.id = id ?? `${paths.join(' ')} ${service}`;
    this.guards = guards ?? [];
    this.takesWebSockets = webSockets ?? true;
    this.options = options;
    this.conditions = new Conditions(when);
    // Of its own: rate limits and roles go by the handler, and by its name.
    const handler = (): void => {};
    Object.defineProperty(handler, 'name', { value: this.id });
    for (const [key, value] of Object.entries(metadata ?? {})) Reflect.defineMetadata(key, value, handler);
    this.handler = handler;
  }

  match(path: NormalPath, request: IncomingMessage): PathMatch | undefined {
    for (const pattern of this.patterns) {
      const match = pattern.match(path);
      if (match !== undefined) return this.conditions.allow(request, path) ? match : undefined;
    }
    return undefined;
  }

  /** The methods that it takes; undefined for all. */
  get methods(): ReadonlySet<string> | undefined {
    return this.conditions.methods;
  }

  /** What is asked of the gateway, for it to ask the service for this path: written as OpenAPI does, `/items/{id}`. */
  outerPaths(inner: string): readonly OuterPath[] {
    const segments = inner.split('/').slice(1);
    if (segments.length === 1 && segments[0] === '') segments.pop();
    return this.patterns.flatMap((pattern): OuterPath | readonly [] => {
      const named = (this.template ?? pattern.after(this.strip)).read(segments);
      if (named === undefined) return [];
      const parameters: string[] = [];
      const path = pattern.fill(named, (name) => {
        const own = name.replace(/\*/g, 'part') || 'part';
        const free = segments.includes(`{${own}}`) ? `gateway_${own}` : own;
        parameters.push(free);
        return `{${free}}`;
      });
      return { path, parameters };
    });
  }

  /** Where a request that matched goes at the service. */
  destination(path: NormalPath, match: PathMatch): Destination {
    if (this.template !== undefined) return { path: this.template.fill(match) + path.query };
    if (this.strip === 0) return { path: path.path + path.query };
    const { written } = path;
    let length = 0;
    for (let at = 0; at < this.strip; at += 1) length += 1 + (written[at]?.length ?? -1);
    const rest = path.path.slice(length);
    return { path: (rest === '' ? '/' : rest) + path.query, prefix: path.path.slice(0, length) };
  }
}

/** A path that a route forwards. */
export interface OuterPath {
  /** Its parameters stand in braces. */
  readonly path: string;
  /** Those of the parameters that the service never sees. */
  readonly parameters: readonly string[];
}

/** What a request must have besides the path. */
class Conditions {
  readonly methods: ReadonlySet<string> | undefined;
  private readonly hosts: readonly string[] | undefined;
  private readonly headers: readonly (readonly [string, string | true])[];
  private readonly query: readonly (readonly [string, string | true])[];

  constructor({ methods, hosts, headers = {}, query = {} }: RouteConditions) {
    this.methods = methods === undefined ? undefined : new Set(methods.map((method) => method.toUpperCase()));
    this.hosts = hosts?.map((host) => host.toLowerCase());
    this.headers = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
    this.query = Object.entries(query);
  }

  allow(request: IncomingMessage, { query }: NormalPath): boolean {
    if (this.methods?.has(request.method ?? '') === false) return false;
    if (this.hosts !== undefined && !this.hosts.some((host) => isHost(host, request.headers.host))) return false;
    if (!this.headers.every(([name, value]) => has(request.headers[name], value))) return false;
    if (this.query.length === 0) return true;
    const given = new URLSearchParams(query);
    return this.query.every(([name, value]) => (value === true ? given.has(name) : given.getAll(name).includes(value)));
  }
}

function has(given: string | readonly string[] | undefined, wanted: string | true): boolean {
  return (
    given !== undefined && (wanted === true || (typeof given === 'string' ? given === wanted : given.includes(wanted)))
  );
}

function isHost(pattern: string, given = ''): boolean {
  const host = given.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern;
}
