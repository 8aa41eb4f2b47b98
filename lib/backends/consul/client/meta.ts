import type { IncomingHttpHeaders } from 'node:http';
import { defined } from '../../../model/index.js';

/** What Consul says about an answer. Give it back as `watch` to wait for the next state, or as `index` of a write. */
export interface ConsulMeta {
  /** Identifies the state. Text, since the indexes of events exceed what a number holds. */
  readonly Index: string;
  /** Whether a leader was known. */
  readonly KnownLeader: boolean;
  /** Milliseconds since the server that answered heard of the leader. */
  readonly LastContact: number;
  /** The consistency that the server used. */
  readonly EffectiveConsistency?: string;
  /** `blocking-query` or `streaming`. */
  readonly QueryBackend?: string;
  /** For the hash-based blocking of `agent/service/:id`. */
  readonly ContentHash?: string;
  /** `allow` or `deny`; absent before 1.9. */
  readonly DefaultACLPolicy?: string;
  /** True when the token may not see everything that there is. Never said of the anonymous token. */
  readonly ResultsFilteredByACLs: boolean;
  /** Whether addresses were translated for another datacentre. */
  readonly TranslateAddresses: boolean;
  /** `HIT` or `MISS` of the agent's cache, when it was asked. */
  readonly Cache?: string;
  /** Age of a cached answer in seconds. */
  readonly CacheAge?: number;
}

/** A value, and what Consul said about it. */
export type Answer<T> = readonly [value: T, meta: ConsulMeta];

/** A value whose answer may come without meta: Consul sends none with most writes. */
export type WriteAnswer<T> = readonly [value: T, meta: ConsulMeta | undefined];

/** Whether an answer says anything of the state that it is of. */
export function hasMeta(headers: IncomingHttpHeaders): boolean {
  return headers['x-consul-index'] !== undefined || headers['x-consul-knownleader'] !== undefined;
}

/** Reads the meta of an answer. What is missing or malformed counts as the safest value: index 0, no leader. */
export function metaOf(headers: IncomingHttpHeaders): ConsulMeta {
  const text = (name: string): string | undefined => {
    const value = headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const index = text('x-consul-index') ?? '0';
  const contact = Number(text('x-consul-lastcontact') ?? '0');
  const effective = text('x-consul-effective-consistency');
  const backend = text('x-consul-query-backend');
  const hash = text('x-consul-contenthash');
  const policy = text('x-consul-default-acl-policy');
  const cache = text('x-cache');
  const age = Number(text('age') ?? 'NaN');
  return Object.freeze({
    Index: /^\d{1,20}$/.test(index) ? index : '0',
    KnownLeader: text('x-consul-knownleader') === 'true',
    LastContact: Number.isFinite(contact) ? contact : 0,
    ...defined({ EffectiveConsistency: effective, QueryBackend: backend, ContentHash: hash, DefaultACLPolicy: policy }),
    ResultsFilteredByACLs: text('x-consul-results-filtered-by-acls') === 'true',
    TranslateAddresses: text('x-consul-translate-addresses') === 'true',
    ...defined({ Cache: cache }),
    ...(Number.isFinite(age) ? { CacheAge: age } : {}),
  });
}
