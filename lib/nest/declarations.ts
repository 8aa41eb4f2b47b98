import { Inject, Optional, type Type } from '@nestjs/common';
import type { ConfigExpectation } from '../config/index.js';
import { noteDeclaration } from './copies.js';

/** What the decorators of one class ask for. */
export interface Declarations {
  /** Live properties. */
  readonly values: { readonly property: PropertyKey; readonly key: string; readonly expected: ConfigExpectation }[];
  /** Constructor parameters, which must be configured too. */
  readonly refs: { readonly key: string; readonly expected: ConfigExpectation }[];
  /** Tokens of injected clients. */
  readonly clients: string[];
  readonly handlers: Handler[];
}

/** A method that wants to be told. */
export interface Handler {
  readonly kind: 'config' | 'instances' | 'health';
  /** The key or prefix, the service, or what is checked. */
  readonly subject: string;
  /** The class of configuration, in the place of a key. */
  readonly type?: Type;
  readonly method: PropertyKey;
}

/** Gives an instance what its class declared, from the app that the instance lives in. */
export abstract class InstanceBinder {
  abstract bind(instance: object): void;
}

const DECLARATIONS = 'nestjs-service-discovery:declarations';

/** The property through which Nest hands an instance its app's binder. */
const BINDER = Symbol('nestjs-service-discovery:binder');

/** A property that is there to be missed: without the module, Nest then says what isn't available. */
const CONFIG_BINDER = Symbol('nestjs-service-discovery:config');

/**
 * The declarations of a class, to add to. The first one makes Nest inject the app's binder into a property of every
 * instance, whatever its scope and however it came into being, short of `useFactory: () => new X()`. The property is a
 * setter on the prototype, so nothing is stored; class fields can't shadow it, for nobody declares a field of that name.
 * A class that only has clients also works in a unit test without the module.
 */
export function declarationsOf(prototype: object): Declarations {
  const own = Reflect.getOwnMetadata(DECLARATIONS, prototype) as Declarations | undefined;
  if (own !== undefined) return own;
  const declarations: Declarations = { values: [], refs: [], clients: [], handlers: [] };
  Reflect.defineMetadata(DECLARATIONS, declarations, prototype);
  noteDeclaration((prototype.constructor as { readonly name: string }).name);
  if (!(BINDER in prototype)) {
    injectInto(prototype, BINDER, (instance, binder) => binder.bind(instance));
    Optional()(prototype, BINDER);
  }
  return declarations;
}

/** As {@link declarationsOf}, for a class that can't work without configuration. */
export function configDeclarationsOf(prototype: object): Declarations {
  if (!(CONFIG_BINDER in prototype)) injectInto(prototype, CONFIG_BINDER, () => {});
  return declarationsOf(prototype);
}

/** All declarations that hold for an instance: those of its class and of the classes above it, the nearest winning. */
export function declarationsFor(instance: object): Declarations {
  const all: Declarations = { values: [], refs: [], clients: [], handlers: [] };
  for (let at: unknown = Object.getPrototypeOf(instance); isObject(at); at = Object.getPrototypeOf(at)) {
    const own = Reflect.getOwnMetadata(DECLARATIONS, at) as Declarations | undefined;
    if (own === undefined) continue;
    for (const value of own.values) {
      if (!all.values.some(({ property }) => property === value.property)) all.values.push(value);
    }
    all.refs.push(...own.refs);
    all.clients.push(...own.clients);
    // A method that is overridden and decorated again is one method.
    const news = own.handlers.filter((one) => !all.handlers.some((known) => isSameHandler(known, one)));
    all.handlers.push(...news);
  }
  return all;
}

function isSameHandler(a: Handler, b: Handler): boolean {
  return a.method === b.method && a.kind === b.kind && a.subject === b.subject && a.type === b.type;
}

function injectInto(
  prototype: object,
  property: symbol,
  receive: (instance: object, binder: InstanceBinder) => void,
): void {
  Object.defineProperty(prototype, property, {
    set(this: object, binder: InstanceBinder) {
      receive(this, binder);
    },
  });
  Inject(InstanceBinder)(prototype, property);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
