import type { FactoryProvider, InjectionToken, Type } from '@nestjs/common';
import { isDeepStrictEqual } from 'node:util';
import { ConfigRef, type ConfigExpectation } from '../config/index.js';
import type { CallOptions, ServiceHttpClient } from '../http/index.js';
import { noteDeclaration } from './copies.js';
import { tokenOf } from './discovery.constants.js';
import { DiscoveryRuntime } from './discovery-runtime.js';

/**
 * What decorators have asked for so far, as providers: the one piece of state that all apps of a process share. The two
 * lists only grow; Nest reads them when it scans the module that has them, after every decorator of the app has run, so
 * neither `forFeature` nor an order of imports is needed.
 */
export interface DeclaredProviders {
  readonly providers: FactoryProvider[];
  readonly tokens: InjectionToken[];
  /** The classes with `@ConfigProperties`. */
  readonly configClasses: Type[];
  /** Told of what comes later, from lazily loaded modules. */
  readonly listeners: Set<(provider: FactoryProvider) => void>;
}

/** See {@link DeclaredProviders}. */
export const declared: DeclaredProviders = { providers: [], tokens: [], configClasses: [], listeners: new Set() };

interface DeclaredRef {
  readonly token: string;
  readonly expected: ConfigExpectation;
}

const refs = new Map<string, DeclaredRef[]>();

/** Declares a provider that every app of the process gets: what makes it starts nothing. */
export function declare(token: InjectionToken, useFactory: (runtime: DiscoveryRuntime) => unknown): void {
  if (declared.tokens.includes(token)) return;
  const provider: FactoryProvider = { provide: token, useFactory, inject: [DiscoveryRuntime] };
  declared.providers.push(provider);
  noteDeclaration(typeof token === 'function' ? token.name : String(token));
  declared.tokens.push(token);
  for (const tell of declared.listeners) tell(provider);
}

/**
 * The injection token of `@DiscoverableClient(service, options)`, for `overrideProvider` in tests.
 * Equal options give the same token, in whatever order they are written.
 */
export function getDiscoverableClientToken(service: string, options: CallOptions = {}): string {
  const entries = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return tokenOf('client', entries.length === 0 ? service : `${service}:${JSON.stringify(entries)}`);
}

/** Declares a client; its factory starts nothing, since every app of the process gets one. */
export function declareClient(service: string, options: CallOptions): string {
  const token = getDiscoverableClientToken(service, options);
  declare(token, (runtime) => runtime.clientFor(token, service, options));
  return token;
}

/** Declares a class whose methods are calls; the class itself is the token. */
export function declareDeclarativeClient(
  type: Type,
  service: string,
  options: CallOptions,
  create: (client: ServiceHttpClient) => object,
): void {
  const token = getDiscoverableClientToken(service, options);
  declare(type, (runtime) => create(runtime.clientFor(token, service, options)));
}

/** Declares a class with `@ConfigProperties`; the class itself is the token. */
export function declareConfigClass(type: Type): void {
  declared.configClasses.push(type);
  declare(type, (runtime) => runtime.configObjects.facade(type));
}

/**
 * The injection token of a constructor parameter's `@ConfigValue(key, …)`, for `overrideProvider` in tests: the first one
 * declared for the key, or the one declared with this default.
 */
export function getConfigRefToken(key: string, defaultValue?: unknown): string {
  const known = refs.get(key)?.find(({ expected }) => isDeepStrictEqual(expected.default, defaultValue));
  return known?.token ?? refs.get(key)?.[0]?.token ?? tokenOf('config', key);
}

/** Declares a `ConfigRef`; equal expectations share one. */
export function declareConfigRef(key: string, expected: ConfigExpectation): string {
  const known = refs.get(key) ?? [];
  refs.set(key, known);
  const same = known.find(
    (ref) =>
      ref.expected.schema === expected.schema &&
      ref.expected.elementType === expected.elementType &&
      isDeepStrictEqual(ref.expected.default, expected.default),
  );
  if (same !== undefined) return same.token;
  const token = tokenOf('config', known.length === 0 ? key : `${key}:${known.length}`);
  known.push({ token, expected });
  declare(token, (runtime) => new ConfigRef(runtime.configValues.reader(key, expected)));
  return token;
}
