import { describe, DiscoveryError, isPrototypeKey } from '../model/index.js';
import { hash } from './consistent-hash.js';
import { isLaneName } from './lanes.js';

/**
 * Puts calls into a lane, or sends them to a version: those whose headers match, or a share of them, or a share of those
 * that match. As it stands in a configuration document.
 */
export interface LaneRule {
  /** Headers of the call, or of the request in whose course it is made, and the value that each must have, or one of several. */
  readonly match?: { readonly header: Readonly<Record<string, string | readonly string[]>> };
  /** Percent of the calls, from 0 to 100: the same ones by their key, so that a user stays where he is. @default 100 */
  readonly weight?: number;
  /** The lane that they get. */
  readonly lane?: string;
  /** The version that they get. */
  readonly version?: string;
}

/** What a rule decided. */
export type LaneChoice = Pick<LaneRule, 'lane' | 'version'>;

/** What rules are told of a call. */
export interface CallFacts {
  /** A header of the call, or of the request in whose course it is made; the name in lower case. */
  header(name: string): string | undefined;
  /** What calls that belong together have in common. */
  readonly key: string | undefined;
}

/** Rules of one service; each call looks at them in turn. */
const MAX_RULES = 100;

/** The rules for every service that has none of its own that apply. */
const EVERY_SERVICE = '*';

interface ParsedRule {
  readonly headers: readonly (readonly [name: string, values: ReadonlySet<string>])[];
  /** Where its share of the calls begins and ends, in percent. */
  readonly from: number;
  readonly to: number;
  readonly choice: LaneChoice;
}

/** The rules of all services, as a configuration document has them. */
export class LaneRules {
  static readonly none = new LaneRules(new Map());

  private constructor(private readonly rules: ReadonlyMap<string, readonly ParsedRule[]>) {}

  /**
   * Reads `{ STOCK: [rule, …], '*': [rule, …] }`; names with dots may be nested.
   *
   * @param key of the configuration, for errors
   * @throws DiscoveryError `CONFIG_VALUE_INVALID`, naming the field
   */
  static parse(value: unknown, key: string): LaneRules {
    const rules = new Map<string, readonly ParsedRule[]>();
    if (value !== undefined && value !== null && value !== '') collect(value, key, '', rules);
    return new LaneRules(rules);
  }

  /** What the first rule that applies decides: of the service's own, then of those for every service. */
  choose(service: string, facts: CallFacts, random: () => number): LaneChoice | undefined {
    if (this.rules.size === 0) return undefined;
    let position: number | undefined;
    for (const name of [service, EVERY_SERVICE]) {
      for (const rule of this.rules.get(name) ?? []) {
        if (!rule.headers.every(([header, values]) => values.has(facts.header(header) ?? ''))) continue;
        if (rule.from === 0 && rule.to === 100) return rule.choice;
        position ??= facts.key === undefined ? random() * 100 : (hash(facts.key, SEED) % 10_000) / 100;
        if (position >= rule.from && position < rule.to) return rule.choice;
      }
    }
    return undefined;
  }
}

/** Another one than pickers have, whose choice would else depend on the lane's. */
const SEED = 0x5bd1e995;

function collect(value: unknown, at: string, service: string, into: Map<string, readonly ParsedRule[]>): void {
  if (Array.isArray(value)) {
    if (service === '') throw invalid(at, 'must be an object of services', value);
    if (value.length > MAX_RULES) throw invalid(at, `must have at most ${MAX_RULES} rules`, value.length);
    const taken = new Map<string, number>();
    into.set(
      service,
      value.map((rule, index) => parseRule(rule, `${at}[${index}]`, taken)),
    );
    return;
  }
  const inside = objectOf(value, at, service === '' ? 'an object of services' : 'a list of rules');
  for (const [name, one] of Object.entries(inside)) {
    if (isPrototypeKey(name)) throw invalid(`${at}.${name}`, 'must be a service', name);
    collect(one, `${at}.${name}`, service === '' ? name : `${service}.${name}`, into);
  }
}

/** @param taken how much of the calls the rules before have, by what they match */
function parseRule(value: unknown, at: string, taken: Map<string, number>): ParsedRule {
  const rule = objectOf(value, at, 'a rule');
  const unknown = Object.keys(rule).find((key) => !['match', 'weight', 'lane', 'version'].includes(key));
  if (unknown !== undefined) throw invalid(`${at}.${unknown}`, 'is none of match, weight, lane and version', undefined);
  const { lane, version, weight = 100 } = rule;
  if (lane === undefined && version === undefined) throw invalid(`${at}.lane`, 'is required, or a version', undefined);
  const share = typeof weight === 'string' ? Number(weight) : weight;
  if (typeof share !== 'number' || !(share >= 0 && share <= 100))
    throw invalid(`${at}.weight`, 'must be a number from 0 to 100', weight);
  const headers = rule['match'] === undefined ? [] : headersOf(rule['match'], `${at}.match`);
  const group = JSON.stringify(headers.map(([name, values]) => [name, [...values]]));
  const from = share === 100 ? 0 : (taken.get(group) ?? 0);
  const to = Math.min(100, from + share);
  if (share !== 100) taken.set(group, to);
  const choice: LaneChoice = {
    ...(lane === undefined ? {} : { lane: nameOf(lane, `${at}.lane`) }),
    ...(version === undefined ? {} : { version: nameOf(version, `${at}.version`) }),
  };
  return { headers, from, to, choice };
}

function headersOf(value: unknown, at: string): [string, ReadonlySet<string>][] {
  const match = objectOf(value, at, '{ header: … }');
  const other = Object.keys(match).find((key) => key !== 'header');
  if (other !== undefined) throw invalid(`${at}.${other}`, 'is none of header', undefined);
  const headers = Object.entries(objectOf(match['header'], `${at}.header`, 'an object of headers'));
  if (headers.length === 0) throw invalid(`${at}.header`, 'must name a header', match['header']);
  return headers.map(([name, wanted]) => {
    const values: unknown[] = Array.isArray(wanted) ? wanted : [wanted];
    const texts = values.map((one) => (typeof one === 'number' || typeof one === 'boolean' ? String(one) : one));
    if (texts.length === 0 || !texts.every((one): one is string => typeof one === 'string' && one !== '')) {
      throw invalid(`${at}.header.${name}`, 'must be a text or a list of texts', wanted);
    }
    return [name.toLowerCase(), new Set(texts)];
  });
}

function nameOf(value: unknown, at: string): string {
  const name = typeof value === 'number' ? String(value) : value;
  if (typeof name !== 'string' || !isLaneName(name))
    throw invalid(at, 'must be a name of at most 255 characters', value);
  return name;
}

function objectOf(value: unknown, at: string, expected: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(at, `must be ${expected}`, value);
  return value as Readonly<Record<string, unknown>>;
}

function invalid(field: string, problem: string, value: unknown): DiscoveryError {
  const got = value === undefined ? '' : `, got ${describe(value)}`;
  return new DiscoveryError('CONFIG_VALUE_INVALID', `${field} ${problem}${got}`, { field });
}
