import { isPrototypeKey } from '../model/index.js';
import type { ConfigLayer, Property } from './config-layer.js';
import type { ConfigData } from './reading/index.js';
import { camelCase, canonical } from './relaxed-names.js';

/** What begins the variables that say where the parts of their key end: `SERVICE_CONFIG__DB__POOL_SIZE`. */
const PREFIX = 'SERVICE_CONFIG__';

/** A variable and the key that it may stand for. */
interface Variable {
  readonly name: string;
  readonly value: string;
}

/**
 * The environment as a layer of configuration. `SERVICE_CONFIG__DB__POOL_SIZE` is `db.poolSize`, `SERVICE_CONFIG__HOSTS__0` the
 * first of a list. As in Spring, `DB_POOL_SIZE` and `DB_POOLSIZE` are `db.poolSize` too, for keys of at least two parts: `PATH`
 * and `HOME` are nobody's configuration. A variable that is empty isn't set, and those that Kubernetes sets for every service
 * (`DB_PORT=tcp://…`) are left out.
 */
export class EnvironmentLayer {
  /** What the prefix names, whatever the documents have: a layer for each variable. */
  readonly layers: readonly ConfigLayer[];
  /** The others, by their letters and digits alone. */
  private readonly variables = new Map<string, Variable[]>();

  constructor(env: Readonly<Record<string, string | undefined>>) {
    const layers: ConfigLayer[] = [];
    const lists = new Map<string, { readonly items: string[]; readonly name: string }>();
    for (const [name, value] of Object.entries(env)) {
      if (value === undefined || value === '') continue;
      const path = name.startsWith(PREFIX) ? pathOf(name) : undefined;
      const index = path === undefined || path.length < 2 ? '' : (path.at(-1) as string);
      if (path !== undefined && /^\d{1,4}$/.test(index)) {
        const key = path.slice(0, -1).join('.');
        const list = lists.get(key) ?? { items: [], name: name.slice(0, -2 - index.length) };
        list.items[Number(index)] = value;
        lists.set(key, list);
      } else if (path !== undefined) layers.push(layerOf(name, path.join('.'), value));
      else if (/^[A-Z][A-Z0-9]*_[A-Z0-9_]*$/.test(name) && !name.startsWith(PREFIX) && !isServiceLink(name, env)) {
        const letters = lettersOf(name);
        this.variables.set(letters, [...(this.variables.get(letters) ?? []), { name, value }]);
      }
    }
    for (const [key, { items, name }] of lists) {
      layers.push(layerOf(name, key, Object.freeze(items.filter((item) => item !== undefined))));
    }
    this.layers = layers;
  }

  /** The variable that stands for a key, if one is set. */
  readonly find = (key: string): Property | undefined => {
    if (this.variables.size === 0 || !key.includes('.')) return undefined;
    const found = this.variables.get(lettersOf(key))?.find(({ name }) => standsFor(name, key));
    if (found === undefined) return undefined;
    return { key, value: found.value, layer: layerOf(found.name, key, found.value) };
  };
}

/** The variables of the environment by name, for placeholders such as `${HOME}`. */
export function variableOf(env: Readonly<Record<string, string | undefined>>, name: string): string | undefined {
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  return value === '' ? undefined : value;
}

function layerOf(name: string, key: string, value: ConfigData): ConfigLayer {
  return { kind: 'environment', document: name, entries: new Map([[key, { value }]]) };
}

/** The parts of the key of a variable with the prefix, or undefined when it is none. */
function pathOf(name: string): readonly string[] | undefined {
  const parts = name.slice(PREFIX.length).split('__').map(camelCase);
  return parts.some((part) => part === '' || isPrototypeKey(part)) ? undefined : parts;
}

/** What Docker and Kubernetes set for each service next to the app, which hits `db.port` by chance. */
function isServiceLink(name: string, env: Readonly<Record<string, string | undefined>>): boolean {
  const service = /^(.+?)_(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_.*)?)?)$/.exec(
    name,
  )?.[1];
  if (service === undefined) return false;
  return /^(?:tcp|udp|sctp):\/\//i.test(env[`${service}_PORT`] ?? '');
}

function lettersOf(name: string): string {
  return name.replace(/[._-]/g, '').toLowerCase();
}

/** Whether each part of the key ends where the variable has an underscore. */
function standsFor(variable: string, key: string): boolean {
  const ends = new Set<number>();
  let letters = 0;
  for (const part of variable.split('_')) ends.add((letters += part.length));
  let end = 0;
  return key.split('.').every((part) => ends.has((end += canonical(part).length)));
}
