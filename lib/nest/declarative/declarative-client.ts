import type { Type, VersioningOptions } from '@nestjs/common';
import { from, Observable } from 'rxjs';
import { describeIssues, type StandardSchema } from '../../config/index.js';
import type { ServiceHttpClient, ServiceRequestConfig } from '../../http/index.js';
import { describe, DiscoveryError } from '../../model/index.js';
import { requestParts } from './request-parts.js';
import { routesOf, type Route } from './route-metadata.js';
import { tellVersion, type ContractVersion } from './versions.js';

/** Where `@ValidateResponse` keeps its schema. */
export const RESPONSE_SCHEMA = 'nestjs-service-discovery:response-schema';

/** What the routes of a class have in common. */
export interface Contract {
  /** Path before those of the routes. */
  readonly path: string;
  /** Version of the routes that have none of their own. */
  readonly version: ContractVersion | undefined;
  /** How the service is told the version. */
  readonly versioning: VersioningOptions | undefined;
}

/**
 * An object of the class whose routes are calls of `client`: a method that is declared to return an Observable makes the
 * call when it is subscribed to, every other one at once, and both give the answer's data.
 */
export function createDeclarativeClient(type: Type, contract: Contract, client: ServiceHttpClient): object {
  const instance = Object.create(type.prototype as object) as object;
  for (const [name, route] of routesOf(type)) {
    const told = tellVersion(route.version ?? contract.version, contract.versioning);
    const path = joinPaths(joinPaths(told.path, contract.path), route.path);
    const handler = Reflect.get(type.prototype as object, name) as object;
    const schema = Reflect.getMetadata(RESPONSE_SCHEMA, handler) as StandardSchema | undefined;
    const call = async (args: readonly unknown[], signal?: AbortSignal): Promise<unknown> => {
      const config = requestOf(client.service ?? '', name, path, told.headers, route, args);
      const { data } = await client.axiosRef.request<unknown>(signal === undefined ? config : { ...config, signal });
      return schema === undefined ? data : validated(client.service ?? '', name, data, schema);
    };
    const returnType: unknown = Reflect.getMetadata('design:returntype', type.prototype as object, name);
    const value =
      returnType === Observable
        ? (...args: readonly unknown[]) => observe((signal) => call(args, signal))
        : (...args: readonly unknown[]) => call(args);
    Object.defineProperty(instance, name, { value, configurable: true, writable: true });
  }
  return instance;
}

function requestOf(
  service: string,
  name: string,
  path: string,
  common: Readonly<Record<string, string>>,
  route: Route,
  args: readonly unknown[],
): ServiceRequestConfig {
  const where = `${service}.${name}`;
  const parts = requestParts(where, route, args, common);
  const url = path.replace(/:(\w+)(?:\([^)]*\))?|\*(\w+)/g, (_, parameter?: string, wildcard?: string) => {
    const field = parameter ?? wildcard ?? '';
    const value = parts.param[field];
    const segments: readonly unknown[] = Array.isArray(value) ? value : [value];
    return segments.map((segment) => encodeSegment(segment, where, field)).join('/');
  });
  return {
    method: route.method,
    url,
    urlTemplate: path,
    params: parts.query,
    // Repeated keys are what Nest's platforms make lists of.
    paramsSerializer: { indexes: null },
    headers: parts.headers,
    ...(parts.body === undefined ? {} : { data: parts.body }),
  };
}

/** A value stays within its segment of the path. What can't (`..`, which every URL parser takes for the way up) is refused. */
function encodeSegment(value: unknown, where: string, field: string): string {
  const segment = segmentOf(value);
  if (segment !== '' && segment !== '.' && segment !== '..') return encodeURIComponent(segment);
  throw new DiscoveryError('INVALID_OPTION', `${where}: the path parameter '${field}' can't be ${describe(value)}`, {
    field,
  });
}

function segmentOf(value: unknown): string {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '' : value.toISOString();
  return ['string', 'number', 'boolean', 'bigint'].includes(typeof value) ? String(value) : '';
}

function validated(service: string, name: string, data: unknown, schema: StandardSchema): unknown {
  const result = schema['~standard'].validate(data);
  if (result instanceof Promise) {
    return result.then((settled) =>
      settled.issues === undefined ? settled.value : refuse(service, name, settled.issues),
    );
  }
  return result.issues === undefined ? result.value : refuse(service, name, result.issues);
}

function refuse(service: string, name: string, issues: Parameters<typeof describeIssues>[0]): never {
  throw new DiscoveryError(
    'INVALID_RESPONSE',
    `the answer of ${service}.${name} isn't as agreed: ${describeIssues(issues)}`,
    {
      service,
      field: name,
    },
  );
}

function observe(call: (signal: AbortSignal) => Promise<unknown>): Observable<unknown> {
  return new Observable((subscriber) => {
    const controller = new AbortController();
    const subscription = from(call(controller.signal)).subscribe(subscriber);
    return () => {
      subscription.unsubscribe();
      controller.abort();
    };
  });
}

/** `a` and `b` with one slash before each and none behind. */
export function joinPaths(a: string, b: string): string {
  const parts = [a, b].map((part) => part.replace(/^\/+|\/+$/g, '')).filter((part) => part !== '');
  return `/${parts.join('/')}`;
}
