import { SetMetadata, type Type, type VersioningOptions } from '@nestjs/common';
import { checkOptions, text } from '../../backend/index.js';
import type { StandardSchema } from '../../config/index.js';
import { assertServiceName, DiscoveryError } from '../../model/index.js';
import type { DiscoverableClientOptions } from '../decorators/discoverable-client.decorator.js';
import { declareDeclarativeClient } from '../declared-providers.js';
import { CALL_OPTIONS } from '../check-module-options.js';
import { createDeclarativeClient, RESPONSE_SCHEMA, type Contract } from './declarative-client.js';
import { routesOf } from './route-metadata.js';
import { versionCheck, versioningCheck } from './versions.js';

/** Options of {@link HttpServiceClient}. */
export interface HttpServiceClientOptions extends DiscoverableClientOptions {
  /** Path before those of the routes, as a controller has it. @default '' */
  readonly path?: string;
  /** Version of the routes that have no `@Version`, as a controller has it. @default that of `versioning`, if any */
  readonly version?: VersioningOptions['defaultVersion'];
  /**
   * How the service is told the version: what it gives to `app.enableVersioning()`. `CUSTOM` is refused, since no caller can
   * know it. @default in the path: `/v1`
   */
  readonly versioning?: VersioningOptions;
}

const CONTRACT = 'nestjs-service-discovery:contract';

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
  const { path = '', version, versioning, ...call } = options;
  checkOptions(`@HttpServiceClient('${service}')`, options, {
    ...CALL_OPTIONS,
    path: pathCheck,
    version: versionCheck,
    versioning: versioningCheck,
  });
  const contract: Contract = { path, version: version ?? versioning?.defaultVersion, versioning };
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
    Reflect.defineMetadata(CONTRACT, contract, type);
    declareDeclarativeClient(type, service, call, (client) => createDeclarativeClient(type, contract, client));
  };
}

/** Checks the data of a method's answer, with any Standard Schema; what doesn't fit is an `INVALID_RESPONSE`. @publicApi */
export function ValidateResponse(schema: StandardSchema): MethodDecorator {
  return SetMetadata(RESPONSE_SCHEMA, schema);
}

/**
 * The body of a method whose call is made elsewhere: never run on an injected object.
 *
 * @param _parameters the method's own, so that linters don't find them unused; nothing is done with them
 * @throws DiscoveryError `UNSUPPORTED` when the method is called on an object that was not injected
 * @publicApi
 */
export function remote(..._parameters: readonly unknown[]): never {
  throw new DiscoveryError(
    'UNSUPPORTED',
    'a method of an @HttpServiceClient class was called on an object that was not injected',
  );
}

/** What a class that {@link HttpServiceClient} decorates says, or undefined. */
export function contractOf(type: Type): Contract | undefined {
  return Reflect.getMetadata(CONTRACT, type) as Contract | undefined;
}

function pathCheck(value: unknown, path: string): void {
  if (value !== '') text(value, path);
}
