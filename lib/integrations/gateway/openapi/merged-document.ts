import type { Route } from '../route.js';
import { componentsOf, renamings, targetOf, wordOf, type ComponentKey } from './component-names.js';
import { asObject, isList, isObject, type Json, type JsonObject, type ServiceDocument } from './service-document.js';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;

/** Stands in the place of what lies in another document: a page would fetch that from wherever it is said to be. */
const ELSEWHERE: JsonObject = { description: 'described in another document, which is not shown' };

/**
 * One document of the app's own and those of services: their operations under the paths by which the gateway forwards them, and
 * what these refer to. What nobody can ask for through the gateway isn't shown.
 */
export class MergedDocument {
  private version: string;
  private readonly paths: Record<string, JsonObject>;
  private readonly tags: Json[];
  private readonly components: Record<string, Record<string, Json>> = {};
  /** The components so far, as they were written. */
  private readonly taken = new Map<ComponentKey, string>();
  private readonly operationIds = new Set<string>();
  private readonly notes: string[] = [];

  constructor(private readonly own: JsonObject) {
    const { openapi, paths, tags, components } = own;
    this.version = typeof openapi === 'string' ? openapi : '3.0.0';
    this.paths = { ...(asObject(paths) as Record<string, JsonObject>) };
    this.tags = isList(tags) ? [...tags] : [];
    for (const [section, named] of Object.entries(asObject(components))) {
      this.components[section] = { ...asObject(named) };
    }
    for (const [key, component] of componentsOf(asObject(components))) this.taken.set(key, JSON.stringify(component));
    for (const item of Object.values(this.paths)) {
      for (const method of METHODS) {
        const id = asObject(asObject(item)[method])['operationId'];
        if (typeof id === 'string') this.operationIds.add(id);
      }
    }
  }

  /** Says something at the document's beginning. */
  note(text: string): void {
    this.notes.push(text);
  }

  /**
   * Adds a service's operations.
   *
   * @param routes those to the service, in their order
   * @param basePath what stands before every path at its instances and isn't asked for by callers
   */
  add(service: string, document: ServiceDocument, routes: readonly Route[], basePath: string): void {
    if (document.version > this.version) this.version = document.version;
    const components = componentsOf(document.components);
    const names = renamings(service, components, this.taken);
    const needed = new Set<ComponentKey>();
    const copy = new Copy(names, needed);
    const usedTags = new Set<Json | undefined>();
    for (const [path, item] of Object.entries(document.paths)) {
      const inner = isObject(item) ? innerPath(path, document.server, basePath) : undefined;
      if (inner === undefined) continue;
      for (const route of routes) {
        for (const outer of route.outerPaths(inner)) {
          const there = asObject(this.paths[outer.path]);
          const added = this.operations(service, document, item as JsonObject, route, outer.parameters, there, copy);
          if (added.length === 0) continue;
          this.paths[outer.path] = { ...there, ...Object.fromEntries(added) };
          for (const [, { tags }] of added) for (const tag of isList(tags) ? tags : []) usedTags.add(tag);
        }
      }
    }
    // Grows while it is gone through: what a component refers to is needed too.
    for (const key of needed) this.addComponent(key, components.get(key), names, copy);
    const known = new Set(this.tags.map((tag) => asObject(tag)['name']));
    for (const tag of document.tags) {
      if (usedTags.has(tag['name']) && !known.has(tag['name'])) this.tags.push(copy.of(tag));
    }
  }

  /** All of it. */
  result(): JsonObject {
    const { info } = this.own;
    const { description } = asObject(info);
    const told = [...(typeof description === 'string' && description !== '' ? [description] : []), ...this.notes];
    return {
      ...this.own,
      openapi: this.version,
      info: this.notes.length === 0 ? asObject(info) : { ...asObject(info), description: told.join('\n\n') },
      paths: this.paths,
      ...(this.tags.length === 0 ? {} : { tags: this.tags }),
      components: this.components,
    };
  }

  private operations(
    service: string,
    document: ServiceDocument,
    item: JsonObject,
    route: Route,
    parameters: readonly string[],
    there: JsonObject,
    copy: Copy,
  ): readonly [method: string, operation: JsonObject][] {
    const operations: [string, JsonObject][] = [];
    const shared = listIn(copy.of(item['parameters'] ?? []));
    for (const method of METHODS) {
      const given = item[method];
      // The first route that takes a request has it.
      if (!isObject(given) || there[method] !== undefined || route.methods?.has(method.toUpperCase()) === false)
        continue;
      const { servers: _, security = document.security, ...operation } = copy.of(given) as JsonObject;
      const own = listIn(operation['parameters']);
      const all = [
        ...parameters.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
        ...shared.filter((one) => !own.some((other) => isSameParameter(one, other))),
        ...own,
      ];
      const { tags, operationId } = operation;
      const added: JsonObject = {
        ...operation,
        tags: isList(tags) && tags.length > 0 ? tags : [service],
        ...(all.length === 0 ? {} : { parameters: all }),
        ...(typeof operationId === 'string' ? { operationId: this.idFor(service, operationId) } : {}),
        // What the gateway's own operations require is none of the service's.
        ...(security !== undefined || this.own['security'] !== undefined
          ? { security: copy.security(security ?? []) }
          : {}),
      };
      operations.push([method, added]);
    }
    return operations;
  }

  private idFor(service: string, id: string): string {
    let free = id;
    if (this.operationIds.has(free)) free = `${wordOf(service)}_${id}`;
    while (this.operationIds.has(free)) free = `${free}_`;
    this.operationIds.add(free);
    return free;
  }

  private addComponent(
    key: ComponentKey,
    component: JsonObject | undefined,
    names: ReadonlyMap<ComponentKey, ComponentKey>,
    copy: Copy,
  ): void {
    const to = names.get(key) ?? key;
    if (component === undefined || this.taken.has(to)) return;
    const [section = '', name = ''] = to.split('/');
    (this.components[section] ??= {})[name] = copy.of(component);
    this.taken.set(to, JSON.stringify(component));
  }
}

/** Writes what a service's document says anew, with the names that its components have got. */
class Copy {
  constructor(
    private readonly names: ReadonlyMap<ComponentKey, ComponentKey>,
    /** What was referred to. */
    private readonly needed: Set<ComponentKey>,
  ) {}

  of(value: Json): Json {
    if (isList(value)) return value.filter((one) => !isElsewhere(one)).map((one) => this.of(one));
    if (!isObject(value)) return value;
    if (isElsewhere(value)) return ELSEWHERE;
    const copied: Record<string, Json> = {};
    for (const [key, one] of Object.entries(value)) {
      if (key === '$ref' && typeof one === 'string') copied[key] = this.ref(one);
      else if (key === 'mapping' && isObject(one)) copied[key] = this.mapping(one);
      // Leads to an operation by a document's address.
      else if (key !== 'operationRef' || typeof one !== 'string') copied[key] = this.of(one);
    }
    return copied;
  }

  /** Requirements name security schemes. */
  security(requirements: Json): Json {
    return listIn(requirements).map((requirement) =>
      Object.fromEntries(
        Object.entries(asObject(requirement)).map(([name, scopes]) => {
          const key: ComponentKey = `securitySchemes/${name}`;
          this.needed.add(key);
          return [nameIn(this.names.get(key) ?? key), scopes];
        }),
      ),
    );
  }

  /** @param ref one that isn't elsewhere */
  private ref(ref: string): string {
    const target = targetOf(ref);
    if (target === undefined) return ref;
    this.needed.add(target.key);
    return `#/components/${this.names.get(target.key) ?? target.key}${target.within}`;
  }

  /** A discriminator's values name schemas, by a reference or by their bare names. */
  private mapping(mapping: JsonObject): JsonObject {
    const entries = Object.entries(mapping).flatMap(([value, to]): [string, Json][] => {
      if (typeof to !== 'string') return [[value, this.of(to)]];
      const ref = to.includes('/') || to.includes('#') ? to : `#/components/schemas/${to}`;
      return targetOf(ref) === undefined ? [] : [[value, this.ref(ref)]];
    });
    return Object.fromEntries(entries);
  }
}

/** Whether it only says where something is described, and that isn't among the components. */
function isElsewhere(value: Json): boolean {
  if (!isObject(value)) return false;
  const { $ref } = value;
  return typeof $ref === 'string' && targetOf($ref) === undefined;
}

/** The path that callers of the service ask for; undefined for what they can't. */
function innerPath(path: string, server: ServiceDocument['server'], basePath: string): string | undefined {
  if (!path.startsWith('/')) return undefined;
  const whole = server.isOwn || server.path === basePath ? server.path + path : path;
  if (basePath === '') return whole;
  if (whole === basePath) return '/';
  return whole.startsWith(`${basePath}/`) ? whole.slice(basePath.length) : undefined;
}

function isSameParameter(one: Json, other: Json): boolean {
  const [a, b] = [asObject(one), asObject(other)];
  return a['name'] !== undefined && a['name'] === b['name'] && a['in'] === b['in'];
}

function listIn(value: Json | undefined): readonly Json[] {
  return isList(value) ? value : [];
}

function nameIn(key: ComponentKey): string {
  return key.slice(key.indexOf('/') + 1);
}
