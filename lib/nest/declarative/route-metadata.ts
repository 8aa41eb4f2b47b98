import {
  Body,
  Get,
  Headers,
  Param,
  Query,
  RequestMethod,
  Version,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import type { ContractVersion } from './versions.js';

/** Where an argument of a route goes. */
export type ArgumentKind = 'body' | 'query' | 'param' | 'headers';

/** An argument of a route, as `@Param('id')` and its like declare it. */
export interface RouteArgument {
  readonly kind: ArgumentKind;
  readonly index: number;
  /** The name that was given; undefined for the whole. */
  readonly name: string | undefined;
}

/** A route, as `@Get('orders/:id')` and its like declare it. */
export interface Route {
  readonly method: string;
  readonly path: string;
  /** That of `@Version`. */
  readonly version: ContractVersion | undefined;
  readonly arguments: readonly RouteArgument[];
}

/**
 * How Nest keeps what its decorators say. The keys and numbers are not public, so they are not written down here but read
 * off a class that was decorated for the purpose.
 */
interface Keys {
  readonly path: string;
  readonly method: string;
  readonly version: string;
  readonly routeArguments: string;
  readonly kinds: ReadonlyMap<string, ArgumentKind>;
}

let keys: Keys | undefined;

function nestKeys(): Keys {
  keys ??= probe();
  return keys;
}

function probe(): Keys {
  class Probe {
    route(): void {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Probe.prototype, 'route');
  if (descriptor === undefined) throw new TypeError('a class without its method');
  const decorators: readonly [ArgumentKind, ParameterDecorator][] = [
    ['body', Body()],
    ['query', Query()],
    ['param', Param()],
    ['headers', Headers()],
  ];
  decorators.forEach(([, decorate], index) => decorate(Probe.prototype, 'route', index));
  Get('probed')(Probe.prototype, 'route', descriptor);
  Version('probed version')(Probe.prototype, 'route', descriptor);
  const route = Probe.prototype.route as object;
  const keyOf = (target: object, property: string | undefined, fits: (value: unknown) => boolean): string => {
    const all: unknown[] =
      property === undefined ? Reflect.getMetadataKeys(target) : Reflect.getMetadataKeys(target, property);
    const found = all.find((key) =>
      fits(property === undefined ? Reflect.getMetadata(key, target) : Reflect.getMetadata(key, target, property)),
    );
    if (typeof found !== 'string') throw new TypeError('this version of Nest keeps its routes in an unknown way');
    return found;
  };
  const routeArguments = keyOf(Probe, 'route', (value) => Object.keys(value as object).length === decorators.length);
  const declared = Reflect.getMetadata(routeArguments, Probe, 'route') as Record<string, { readonly index: number }>;
  const kinds = new Map<string, ArgumentKind>();
  for (const [key, { index }] of Object.entries(declared)) {
    const kind = decorators[index]?.[0];
    if (kind !== undefined) kinds.set(key.split(':')[0] ?? key, kind);
  }
  return {
    path: keyOf(route, undefined, (value) => value === 'probed'),
    method: keyOf(route, undefined, (value) => value === RequestMethod.GET),
    version: keyOf(route, undefined, (value) => value === 'probed version'),
    routeArguments,
    kinds,
  };
}

/** The routes of a class, by the name of their method; those of the classes above it included. */
export function routesOf(type: Type): ReadonlyMap<string, Route> {
  const { path, method, version, routeArguments, kinds } = nestKeys();
  const routes = new Map<string, Route>();
  for (const name of methodNames(type)) {
    const handler: unknown = Reflect.get(type.prototype as object, name);
    if (typeof handler !== 'function' || !Reflect.hasMetadata(path, handler)) continue;
    const paths = Reflect.getMetadata(path, handler) as string | readonly string[];
    const number = Reflect.getMetadata(method, handler) as RequestMethod;
    const declared = (Reflect.getMetadata(routeArguments, type, name) ?? {}) as Record<
      string,
      { readonly index: number; readonly data?: unknown }
    >;
    routes.set(name, {
      method: RequestMethod[number] ?? 'GET',
      path: typeof paths === 'string' ? paths : (paths[0] ?? ''),
      version: Reflect.getMetadata(version, handler) as ContractVersion | undefined,
      arguments: Object.entries(declared).flatMap(([key, { index, data }]) => {
        const kind = kinds.get(key.split(':')[0] ?? key);
        return kind === undefined ? [] : [{ kind, index, name: typeof data === 'string' ? data : undefined }];
      }),
    });
  }
  return routes;
}

/** Copies everything that decorators said of a method of one class to the method of that name of another class. */
export function copyRoute(from: Type, to: Type, name: string): void {
  const source = Reflect.get(from.prototype as object, name) as object;
  const target = Reflect.get(to.prototype as object, name) as object;
  for (const key of Reflect.getMetadataKeys(source) as unknown[]) {
    if (!Reflect.hasMetadata(key, target)) Reflect.defineMetadata(key, Reflect.getMetadata(key, source), target);
  }
  for (const [source_, target_] of [
    [from, to],
    [from.prototype as object, to.prototype as object],
  ] as const) {
    for (const key of Reflect.getMetadataKeys(source_, name) as unknown[]) {
      // What the overriding method says of its own parameters wins.
      if (Reflect.hasOwnMetadata(key, target_, name)) continue;
      Reflect.defineMetadata(key, Reflect.getMetadata(key, source_, name), target_, name);
    }
  }
}

/** Adds a pipe, after those that there are, to a parameter of a method. */
export function addPipe(type: Type, name: string, { index, kind }: RouteArgument, pipe: PipeTransform): void {
  const { routeArguments, kinds } = nestKeys();
  type Declared = Record<string, { readonly index: number; readonly pipes?: readonly unknown[] }>;
  const declared = (Reflect.getMetadata(routeArguments, type, name) ?? {}) as Declared;
  const more = Object.entries(declared).map(([key, one]) =>
    one.index === index && kinds.get(key.split(':')[0] ?? key) === kind
      ? [key, { ...one, pipes: [...(one.pipes ?? []), pipe] }]
      : [key, one],
  );
  Reflect.defineMetadata(routeArguments, Object.fromEntries(more), type, name);
}

function methodNames(type: Type): readonly string[] {
  const names = new Set<string>();
  for (let at: unknown = type.prototype; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at)) {
    if (at === Object.prototype) break;
    for (const name of Object.getOwnPropertyNames(at)) if (name !== 'constructor') names.add(name);
  }
  return [...names];
}
