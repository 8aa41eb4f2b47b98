import { asObject, isObject, type JsonObject } from './service-document.js';

/** A component's section and name: `schemas/Item`. */
export type ComponentKey = `${string}/${string}`;

const SECTIONS: ReadonlySet<string> = new Set([
  'schemas',
  'responses',
  'parameters',
  'examples',
  'requestBodies',
  'headers',
  'securitySchemes',
  'links',
  'callbacks',
  'pathItems',
]);

/** What a component may be called. */
const NAME = /^[\w.-]+$/;

/** The components of a document, by section and name; what can't be referred to is left out. */
export function componentsOf(components: JsonObject): ReadonlyMap<ComponentKey, JsonObject> {
  const found = new Map<ComponentKey, JsonObject>();
  for (const [section, named] of Object.entries(components)) {
    if (!SECTIONS.has(section)) continue;
    for (const [name, component] of Object.entries(asObject(named))) {
      if (NAME.test(name) && isObject(component)) found.set(`${section}/${name}`, component);
    }
  }
  return found;
}

/** What `$ref` refers to: a component, and a place in it; undefined for what lies elsewhere. */
export function targetOf(ref: string): { readonly key: ComponentKey; readonly within: string } | undefined {
  const [, section = '', name = '', within = ''] = /^#\/components\/(\w+)\/([^/]+)(\/.*)?$/.exec(ref) ?? [];
  const decoded = decode(name);
  return SECTIONS.has(section) && NAME.test(decoded) ? { key: `${section}/${decoded}`, within } : undefined;
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return '';
  }
}

/**
 * The names that a document's components get where others have them already, for something else: the service's stands before.
 * Whatever refers to a component that is another's is another's too.
 *
 * @param taken what has been merged before, as it was written
 */
export function renamings(
  service: string,
  components: ReadonlyMap<ComponentKey, JsonObject>,
  taken: ReadonlyMap<ComponentKey, string>,
): ReadonlyMap<ComponentKey, ComponentKey> {
  const names = new Map<ComponentKey, ComponentKey>();
  const referrers = new Map<ComponentKey, ComponentKey[]>();
  const queue: ComponentKey[] = [];
  for (const [key, component] of components) {
    const before = taken.get(key);
    if (before === undefined) continue;
    const text = JSON.stringify(component);
    if (before !== text) queue.push(key);
    for (const [, ref = ''] of text.matchAll(/"\$ref":"([^"\\]*)"/g)) {
      const target = targetOf(ref)?.key;
      if (target === undefined) continue;
      const list = referrers.get(target);
      if (list === undefined) referrers.set(target, [key]);
      else list.push(key);
    }
  }
  const prefix = wordOf(service);
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    if (names.has(key)) continue;
    const [section = '', name = ''] = key.split('/');
    let free: ComponentKey = `${section}/${prefix}.${name}`;
    while (taken.has(free) || components.has(free)) free = `${free}_`;
    names.set(key, free);
    queue.push(...(referrers.get(key) ?? []));
  }
  return names;
}

/** A service's name in the letters that names of components have. */
export function wordOf(service: string): string {
  return service.replace(/[^\w.-]/g, '_');
}
