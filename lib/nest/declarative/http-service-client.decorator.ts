import { SetMetadata, type Type } from '@nestjs/common';
import { checkOptions, text } from '../../backend/index.js';
import type { StandardSchema } from '../../config/index.js';
import { assertServiceName, DiscoveryError } from '../../model/index.js';
import type { DiscoverableClientOptions } from '../decorators/discoverable-client.decorator.js';
import { declareDeclarativeClient } from '../declared-providers.js';
import { CALL_OPTIONS } from '../check-module-options.js';
import { createDeclarativeClient, RESPONSE_SCHEMA } from './declarative-client.js';
import { routesOf } from './route-metadata.js';

/** Options of {@link HttpServiceClient}. */
export interface HttpServiceClientOptions extends DiscoverableClientOptions {
  /** Path before those of the routes, as a controller has it. @default '' */
  readonly path?: string;
}

const CLIENT_PATH = 'nestjs-service-discovery:client-path';

/**
 * Makes a class the contract of a service: its methods carry Nest's own `@Get`, `@Post` …, their parameters `@Param`,
 * `@Query`, `@Body` and `@Headers`. Whoever injects the class calls the service; a method gives the answer's data, as an
 * Observable if it is declared to, else as a Promise. The methods' bodies are never run: `return remote()`.
 *
 * ```ts
 * @HttpServiceClient('ORDERS', { path: 'orders' })
 * export class OrdersApi {
 *   @Get(':id') get(@Param('id') id: string): Promise<Order> { return remote(); }
 * }
 * ```
 *
 * @param service the service's name
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function HttpServiceClient(service: string, options: HttpServiceClientOptions = {}): ClassDecorator {
  assertServiceName(service, 'service');
  const { path = '', ...call } = options;
  checkOptions(`@HttpServiceClient('${service}')`, options, { ...CALL_OPTIONS, path: pathCheck });
  return (target) => {
    const type = target as unknown as Type;
    if (routesOf(type).size === 0) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        `@HttpServiceClient('${service}'): ${type.name} has no method with @Get, @Post …`,
        {
          service,
          field: type.name,
        },
      );
    }
    Reflect.defineMetadata(CLIENT_PATH, path, type);
    declareDeclarativeClient(type, service, call, (client) => createDeclarativeClient(type, path, client));
  };
}

/** Checks the data of a method's answer, with any Standard Schema; what doesn't fit is an `INVALID_RESPONSE`. @publicApi */
export function ValidateResponse(schema: StandardSchema): MethodDecorator {
  return SetMetadata(RESPONSE_SCHEMA, schema);
}

/** The body of a method whose call is made elsewhere. @publicApi */
export function remote(): never {
  throw new DiscoveryError(
    'UNSUPPORTED',
    'a method of an @HttpServiceClient class was called on an object that was not injected',
  );
}

/** The path of a class that {@link HttpServiceClient} decorates, or undefined. */
export function clientPathOf(type: Type): string | undefined {
  return Reflect.getMetadata(CLIENT_PATH, type) as string | undefined;
}

function pathCheck(value: unknown, path: string): void {
  if (value !== '') text(value, path);
}
