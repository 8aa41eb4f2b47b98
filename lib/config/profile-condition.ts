import { DiscoveryError } from '../model/index.js';
import type { ConfigData, ConfigEntries } from './reading/index.js';

/** The keys by which one of several documents of a text says when it applies, as in Spring Boot. */
const ON_PROFILE = ['spring.config.activate.on-profile', 'spring.config.activate.onProfile', 'spring.profiles'];
const ON_PLATFORM = ['spring.config.activate.on-cloud-platform', 'spring.config.activate.onCloudPlatform'];

/**
 * Whether a document applies: it has no condition, or one of its conditions holds.
 *
 * @param profiles those of the app
 * @param platform `kubernetes`, or undefined for none that is known
 * @throws DiscoveryError `CONFIG_DOCUMENT_INVALID` for a condition that can't be read
 */
export function applies(entries: ConfigEntries, profiles: readonly string[], platform: string | undefined): boolean {
  const platforms = textsAt(entries, ON_PLATFORM);
  if (platforms !== undefined && !platforms.some((one) => one.toLowerCase() === (platform ?? 'none'))) return false;
  const conditions = textsAt(entries, ON_PROFILE);
  if (conditions === undefined || conditions.length === 0) return true;
  const active = new Set(profiles);
  return conditions.some((condition) => new Condition(condition, active).holds());
}

function textsAt(entries: ConfigEntries, keys: readonly string[]): readonly string[] | undefined {
  const value = keys.map((key) => entries.get(key)?.value).find((found) => found !== undefined && found !== null);
  if (value === undefined) return undefined;
  const list: readonly ConfigData[] = Array.isArray(value) ? (value as readonly ConfigData[]) : [value];
  return list
    .filter((item) => typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean')
    .flatMap((item) => String(item).split(','))
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** `prod & (eu | us) & !canary`. `&` and `|` may only be mixed with parentheses, as in Spring. */
class Condition {
  private readonly tokens: readonly string[];
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly active: ReadonlySet<string>,
  ) {
    this.tokens = text.match(/[()&|!]|[^()&|!\s]+/g) ?? [];
  }

  holds(): boolean {
    const result = this.either();
    if (this.at < this.tokens.length) throw this.malformed();
    return result;
  }

  private either(): boolean {
    let result = this.one();
    let operator: string | undefined;
    for (let token = this.tokens[this.at]; token === '&' || token === '|'; token = this.tokens[this.at]) {
      if (operator !== undefined && operator !== token) throw this.malformed();
      operator = token;
      this.at += 1;
      const next = this.one();
      result = token === '&' ? result && next : result || next;
    }
    return result;
  }

  private one(): boolean {
    const token = this.tokens[this.at];
    this.at += 1;
    if (token === '!') return !this.one();
    if (token === '(') {
      const result = this.either();
      if (this.tokens[this.at] !== ')') throw this.malformed();
      this.at += 1;
      return result;
    }
    if (token === undefined || /^[)&|]$/.test(token)) throw this.malformed();
    return this.active.has(token);
  }

  private malformed(): DiscoveryError {
    const field = 'spring.config.activate.on-profile';
    const message = `${field} can't be read: '${this.text.slice(0, 80)}'`;
    return new DiscoveryError('CONFIG_DOCUMENT_INVALID', message, { field });
  }
}
