import type { PipeTransform, Type } from '@nestjs/common';
import { firstOf } from '../connection/headers.js';
import type { ServiceRequest } from '../service/request.js';

/**
 * Where Nest keeps the decorators of parameters. Its own `createParamDecorator` writes here too, so that an app's
 * decorators work on NATS endpoints.
 */
export const PARAMETERS_METADATA = '__routeArguments__';

/** Nest's numbers for the kinds of parameters; pipes take the first one for a body, and validate it. */
const PAYLOAD = 3;
const HEADERS = 6;
const MESSAGE = 0;

type Pipes = readonly (Type<PipeTransform> | PipeTransform)[];

/**
 * The payload of a request, or one property of it. Pipes apply as to a body.
 * @publicApi
 */
export function NatsPayload(property?: string, ...pipes: Pipes): ParameterDecorator;
export function NatsPayload(...pipes: Pipes): ParameterDecorator;
export function NatsPayload(first?: string | Type<PipeTransform> | PipeTransform, ...more: Pipes): ParameterDecorator {
  const property = typeof first === 'string' ? first : undefined;
  const pipes = first === undefined || typeof first === 'string' ? more : [first, ...more];
  return parameter(PAYLOAD, property, pipes);
}

/**
 * One header of a request, or all: an object with the first value of each, by its exact name.
 * @publicApi
 */
export function NatsHeaders(name?: string): ParameterDecorator {
  return parameter(HEADERS, name, []);
}

/**
 * The request itself (`ServiceRequest`): its bytes, its subject, and the means to answer with headers.
 * @publicApi
 */
export function NatsMessage(): ParameterDecorator {
  return parameter(MESSAGE, undefined, []);
}

/** Gives the values of decorated parameters, in the form that Nest asks for them. */
export const parametersFactory = {
  exchangeKeyForValue(type: number, data: unknown, args: readonly unknown[]): unknown {
    const [payload, request] = args as readonly [unknown, ServiceRequest];
    switch (type) {
      case PAYLOAD:
        return typeof data === 'string' ? propertyOf(payload, data) : payload;
      case HEADERS:
        return typeof data === 'string' ? firstOf(request.headers, data) : plainHeaders(request);
      case MESSAGE:
        return request;
      default:
        return undefined;
    }
  },
};

function parameter(kind: number, data: string | undefined, pipes: Pipes): ParameterDecorator {
  return (target, key, index) => {
    if (key === undefined) return;
    const known = (Reflect.getMetadata(PARAMETERS_METADATA, target.constructor, key) ?? {}) as object;
    Reflect.defineMetadata(
      PARAMETERS_METADATA,
      { ...known, [`${kind}:${index}`]: { index, data, pipes } },
      target.constructor,
      key,
    );
  };
}

function propertyOf(payload: unknown, property: string): unknown {
  if (typeof payload !== 'object' || payload === null || !Object.hasOwn(payload, property)) return undefined;
  return (payload as Readonly<Record<string, unknown>>)[property];
}

function plainHeaders(request: ServiceRequest): Readonly<Record<string, string>> {
  const plain = Object.create(null) as Record<string, string>;
  for (const [name, [first]] of request.headers) if (first !== undefined) plain[name] = first;
  return plain;
}
