import { MetadataScanner, type ExternalContextCreator, type ModulesContainer, type ModuleRef } from '@nestjs/core';
import { DiscoveryError } from '../../../model/index.js';
import type { EndpointOptions, ServiceConfig, ServiceHandler } from '../service/service-options.js';
import {
  ENDPOINT_METADATA,
  GROUP_METADATA,
  SERVICE_METADATA,
  type DeclaredGroup,
  type NatsEndpointOptions,
} from './decorators.js';
import { createHandler, type EndpointHost } from './handler.js';

/** An endpoint of the app. */
export interface FoundEndpoint {
  readonly name: string;
  readonly options: EndpointOptions;
  readonly groups: readonly DeclaredGroup[];
  readonly handler: ServiceHandler;
  /** Class and method, for messages. */
  readonly where: string;
}

/** A service of the app. */
export interface FoundService {
  readonly config: ServiceConfig;
  readonly endpoints: FoundEndpoint[];
}

interface FoundClass {
  readonly type: new (...args: never[]) => unknown;
  readonly host: EndpointHost;
}

/**
 * Finds the services of an app: the decorated methods of its providers and controllers, whatever their scope.
 *
 * @throws DiscoveryError `INVALID_OPTION` for two different descriptions of one service, and for endpoints of none
 */
export function findServices(
  modules: ModulesContainer,
  contexts: ExternalContextCreator,
  moduleRef: ModuleRef,
): readonly FoundService[] {
  const classes = findClasses(modules, moduleRef);
  const services = new Map<string, FoundService>();
  for (const { type } of classes) {
    const config = Reflect.getMetadata(SERVICE_METADATA, type) as ServiceConfig | undefined;
    if (config === undefined) continue;
    const known = services.get(config.name);
    if (known !== undefined && known.config !== config) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        `two classes describe the NATS service ${config.name}: keep one @NatsService, and name it in @NatsGroup(…, { service }) on the other`,
        { field: 'name', service: config.name },
      );
    }
    services.set(config.name, known ?? { config, endpoints: [] });
  }
  const scanner = new MetadataScanner();
  for (const { type, host } of classes) {
    const own = Reflect.getMetadata(SERVICE_METADATA, type) as ServiceConfig | undefined;
    const classGroups = (Reflect.getMetadata(GROUP_METADATA, type) ?? []) as readonly DeclaredGroup[];
    const prototype = type.prototype as Readonly<Record<string, unknown>>;
    for (const method of scanner.getAllMethodNames(prototype)) {
      const callback = prototype[method];
      if (typeof callback !== 'function') continue;
      const given = Reflect.getMetadata(ENDPOINT_METADATA, callback) as NatsEndpointOptions | undefined;
      if (given === undefined) continue;
      const groups = [...classGroups, ...((Reflect.getMetadata(GROUP_METADATA, callback) ?? []) as DeclaredGroup[])];
      const where = `${type.name}.${method}`;
      const named = groups.map(({ options }) => options.service).find((service) => service !== undefined);
      const service = services.get(named ?? own?.name ?? '');
      if (service === undefined) throw homeless(where, named);
      const { name = method, payload = 'json', ...options } = given;
      const handler = createHandler(contexts, host, { method, payload });
      service.endpoints.push({ name, options, groups, handler, where });
    }
  }
  return [...services.values()];
}

function homeless(where: string, service: string | undefined): DiscoveryError {
  const why =
    service === undefined
      ? 'its class needs @NatsService, or @NatsGroup(…, { service })'
      : `no class of the app describes the service ${service} by @NatsService`;
  return new DiscoveryError('INVALID_OPTION', `${where} is a NATS endpoint of no service: ${why}`, {
    field: 'service',
  });
}

/** Every class once, also when several modules provide it. */
function findClasses(modules: ModulesContainer, moduleRef: ModuleRef): readonly FoundClass[] {
  const found = new Map<unknown, FoundClass>();
  for (const [moduleKey, module] of modules.entries()) {
    for (const wrapper of [...module.providers.values(), ...module.controllers.values()]) {
      const { instance, metatype } = wrapper as { readonly instance: unknown; readonly metatype: unknown };
      if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient) {
        if (typeof instance !== 'object' || instance === null) continue;
        const type: unknown = (Object.getPrototypeOf(instance) as { constructor?: unknown } | null)?.constructor;
        if (isClass(type) && !found.has(instance))
          found.set(instance, { type, host: { moduleKey, instance: instance as Record<string, unknown> } });
      } else if (isClass(metatype) && !found.has(metatype)) {
        found.set(metatype, { type: metatype, host: { moduleKey, metatype, moduleRef, id: wrapper.id } });
      }
    }
  }
  return [...found.values()];
}

function isClass(value: unknown): value is new (...args: never[]) => unknown {
  if (typeof value !== 'function') return false;
  const prototype: unknown = value.prototype;
  return typeof prototype === 'object' && prototype !== null;
}
