import { HttpException } from '@nestjs/common';
import { ContextIdFactory, ExternalContextCreator, type ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { NatsServiceError } from '../connection/errors.js';
import { createResponse, encodePayload, type ServiceRequest, type ServiceResponse } from '../service/request.js';
import type { ServiceHandler } from '../service/service-options.js';
import type { PayloadKind } from './decorators.js';
import { PARAMETERS_METADATA, parametersFactory } from './params.js';

/** What `ExecutionContext.getType()` says of a request over NATS. */
export const NATS_CONTEXT = 'nats';

/** A method that answers requests. */
export interface EndpointMethod {
  readonly method: string;
  readonly payload: PayloadKind;
}

/** Where its instance comes from: one for the app, or one for each request; and the key of the module that has it. */
export type EndpointHost = { readonly moduleKey: string } & (
  | { readonly instance: Record<string, unknown> }
  | { readonly metatype: new (...args: never[]) => unknown; readonly moduleRef: ModuleRef; readonly id: string }
);

type Callback = (...args: unknown[]) => unknown;

/** The handler of an endpoint: Nest's guards, interceptors, pipes and filters around a method. */
export function createHandler(
  contexts: ExternalContextCreator,
  host: EndpointHost,
  { method, payload }: EndpointMethod,
): ServiceHandler {
  const located = inModule(contexts, host.moduleKey);
  const wrap = (instance: Record<string, unknown>, ...scope: ScopeArguments): Callback =>
    located.create(
      instance,
      callbackOf(instance, method),
      method,
      PARAMETERS_METADATA,
      parametersFactory,
      ...scope,
    ) as Callback;
  const run = 'instance' in host ? forever(wrap, host.instance) : perRequest(wrap, host);
  return async (request) => {
    let result: unknown;
    try {
      result = await run(readPayload(request, payload), request);
      // What an exception filter returns isn't resolved by Nest.
      if (isObservable(result)) result = await lastValueFrom(result);
    } catch (error) {
      throw toServiceError(error);
    }
    if (request.answered === undefined) request.answer(toResponse(result, payload));
  };
}

/**
 * Nest looks for the module of a handler among providers only: a controller's guards, interceptors, pipes and filters
 * would be left out without a word. So it is told.
 */
function inModule(contexts: ExternalContextCreator, moduleKey: string): ExternalContextCreator {
  const located = Object.create(contexts) as ExternalContextCreator;
  located.getContextModuleKey = () => moduleKey;
  return located;
}

type ScopeArguments = [
  contextId: ReturnType<typeof ContextIdFactory.create> | undefined,
  inquirerId: string | undefined,
  options: { interceptors: boolean; guards: boolean; filters: boolean },
  contextType: typeof NATS_CONTEXT,
];

const ALL = { interceptors: true, guards: true, filters: true };

function forever(
  wrap: (instance: Record<string, unknown>, ...scope: ScopeArguments) => Callback,
  instance: Record<string, unknown>,
): Callback {
  return wrap(instance, undefined, undefined, ALL, NATS_CONTEXT);
}

/** Request-scoped: a new instance with all that it depends on, for every request. */
function perRequest(
  wrap: (instance: Record<string, unknown>, ...scope: ScopeArguments) => Callback,
  host: Extract<EndpointHost, { readonly metatype: unknown }>,
): Callback {
  return async (payload, request) => {
    const contextId = ContextIdFactory.create();
    host.moduleRef.registerRequestByContextId(request, contextId);
    const instance: unknown = await host.moduleRef.resolve(host.metatype, contextId, { strict: false });
    return wrap(instance as Record<string, unknown>, contextId, host.id, ALL, NATS_CONTEXT)(payload, request);
  };
}

function callbackOf(instance: object, method: string): Callback {
  return (instance as Readonly<Record<string, unknown>>)[method] as Callback;
}

function readPayload(request: ServiceRequest, kind: PayloadKind): unknown {
  if (kind === 'bytes') return request.data;
  return kind === 'text' ? request.text() : request.json();
}

function toResponse(result: unknown, kind: PayloadKind): ServiceResponse {
  if (isResponse(result)) return result;
  // A text answer of a JSON endpoint is JSON too, or whoever reads it could not tell.
  if (kind === 'json' && typeof result === 'string') return createResponse(JSON.stringify(result));
  return createResponse(result as Parameters<typeof createResponse>[0]);
}

function isResponse(value: unknown): value is ServiceResponse {
  if (typeof value !== 'object' || value === null || !('data' in value) || !('headers' in value)) return false;
  return value.data instanceof Uint8Array && value.headers instanceof Map;
}

/** Exceptions that say what the caller may know become error answers; others stay what they are, and tell nothing. */
function toServiceError(error: unknown): unknown {
  if (!(error instanceof HttpException)) return error;
  const response = error.getResponse();
  return new NatsServiceError(error.getStatus(), error.message, {
    data: encodePayload(response),
    cause: error,
  });
}
