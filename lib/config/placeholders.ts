import { DiscoveryError } from '../model/index.js';
import type { Property } from './config-layer.js';
import type { PropertyTree } from './property-tree.js';
import type { ConfigData } from './reading/index.js';

/** What placeholders may make of one value. */
const MAX_LENGTH = 1024 * 1024;

/** Placeholders within each other, and values that refer to others that refer to others. */
const MAX_DEPTH = 50;

/** Gives what no key has: variables of the environment, the app's own name. */
export type PlaceholderFallback = (name: string) => string | undefined;

/**
 * Replaces placeholders: `${other.key}`, `${other.key:default}`, `${host.${zone}}`. A value that is one placeholder and nothing
 * else becomes the other value as it is, a number or a list. One that has no value and no default stays as it is written, and
 * the property says so. `\${` is no placeholder.
 *
 * @throws DiscoveryError `CONFIG_VALUE_INVALID` for a cycle, and for values that grow without end, naming the key
 */
export function resolvePlaceholders(tree: PropertyTree, fallback: PlaceholderFallback): PropertyTree {
  const resolver = new Resolver(tree, fallback);
  const changed = new Map<string, Property>();
  for (const property of tree.all) {
    if (!holdsPlaceholder(property.value)) continue;
    changed.set(property.key, resolver.resolved(property));
  }
  return tree.with(changed);
}

function holdsPlaceholder(value: ConfigData): boolean {
  if (typeof value === 'string') return value.includes('${');
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false;
  return Object.values(value).some(holdsPlaceholder);
}

/** What one value was made with. */
interface Making {
  readonly key: string;
  readonly unresolved: string[];
  secret: boolean;
}

class Resolver {
  private readonly done = new Map<string, Property>();
  private readonly open = new Set<string>();

  constructor(
    private readonly tree: PropertyTree,
    private readonly fallback: PlaceholderFallback,
  ) {}

  resolved(property: Property): Property {
    const { key } = property;
    const known = this.done.get(key);
    if (known !== undefined) return known;
    // What was decrypted isn't read for placeholders: it is whatever it is.
    if (property.secret === true || !holdsPlaceholder(property.value)) return property;
    if (this.open.has(key)) {
      const way = [...this.open, key].slice([...this.open].indexOf(key)).join(' → ');
      throw new DiscoveryError('CONFIG_VALUE_INVALID', `'${key}' refers to itself: ${way}`, { field: key });
    }
    if (this.open.size >= MAX_DEPTH) throw tooMuch(key);
    this.open.add(key);
    const making: Making = { key, unresolved: [], secret: false };
    const value = this.valueOf(property.value, making);
    this.open.delete(key);
    const { value: before, text, line, ...rest } = property;
    const source = property.source ?? { value: before, text, line };
    const { unresolved, secret } = making;
    const result: Property = {
      ...rest,
      line,
      value,
      source,
      ...(unresolved.length === 0 ? {} : { unresolved }),
      ...(secret ? { secret } : {}),
    };
    this.done.set(key, result);
    return result;
  }

  private valueOf(value: ConfigData, making: Making): ConfigData {
    if (typeof value === 'string') return this.textOf(value, making, 0);
    if (Array.isArray(value)) {
      return Object.freeze((value as readonly ConfigData[]).map((item) => this.valueOf(item, making)));
    }
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    const copy = Object.create(null) as Record<string, ConfigData>;
    for (const [name, item] of Object.entries(value)) copy[name] = this.valueOf(item, making);
    return Object.freeze(copy);
  }

  private textOf(text: string, making: Making, depth: number): ConfigData {
    if (depth > MAX_DEPTH) throw tooMuch(making.key);
    let result = '';
    for (let at = 0; at < text.length;) {
      const open = text.indexOf('${', at);
      if (open === -1) {
        result += text.slice(at);
        break;
      }
      if (open > at && text[open - 1] === '\\') {
        result += `${text.slice(at, open - 1)}\${`;
        at = open + 2;
        continue;
      }
      const end = endOf(text, open);
      if (end === -1) {
        result += text.slice(at);
        break;
      }
      const found = this.placeholder(text.slice(open + 2, end), making, depth);
      // The whole text: the other value keeps its type.
      if (open === 0 && end === text.length - 1 && found !== undefined) return found;
      result += text.slice(at, open) + (found === undefined ? text.slice(open, end + 1) : asText(found));
      if (result.length > MAX_LENGTH) throw tooMuch(making.key);
      at = end + 1;
    }
    return result;
  }

  private placeholder(inner: string, making: Making, depth: number): ConfigData | undefined {
    const colon = defaultBegins(inner);
    const name = asText(this.textOf(colon === -1 ? inner : inner.slice(0, colon), making, depth + 1)).trim();
    // A name with a colon in it is tried first, as Spring does.
    const whole = colon === -1 ? undefined : this.lookUp(inner, making);
    const found = whole ?? this.lookUp(name, making);
    if (found !== undefined) return found;
    if (colon !== -1) return this.textOf(inner.slice(colon + 1), making, depth + 1);
    making.unresolved.push(name);
    return undefined;
  }

  private lookUp(name: string, making: Making): ConfigData | undefined {
    const property = this.tree.property(name);
    if (property === undefined) return this.tree.get(name) ?? this.fallback(name);
    const { value, secret, unresolved } = this.resolved(property);
    if (secret === true) making.secret = true;
    if (unresolved !== undefined) making.unresolved.push(...unresolved);
    return value;
  }
}

/** Where the brace closes that `${` at `open` begins, those within it being closed before; -1 when none does. */
function endOf(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text.startsWith('${', at)) {
      depth += 1;
      at += 1;
    } else if (text[at] === '}') {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return -1;
}

/** The colon that a default follows, outside of placeholders within. */
function defaultBegins(inner: string): number {
  let depth = 0;
  for (let at = 0; at < inner.length; at += 1) {
    if (inner.startsWith('${', at)) depth += 1;
    else if (inner[at] === '}') depth -= 1;
    else if (inner[at] === ':' && depth === 0) return at;
  }
  return -1;
}

function asText(value: ConfigData): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return (value as readonly ConfigData[]).map(asText).join(',');
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function tooMuch(key: string): DiscoveryError {
  return new DiscoveryError('CONFIG_VALUE_INVALID', `the placeholders of '${key}' lead too far`, { field: key });
}
