import { Controller, UseInterceptors, type PipeTransform, type Type } from '@nestjs/common';
import { DiscoveryError } from '../../model/index.js';
import { contractOf } from './http-service-client.decorator.js';
import { addPipe, copyRoute, routesOf, type Route } from './route-metadata.js';
import { TextBodyInterceptor } from './text-body.interceptor.js';

/**
 * Makes a controller serve the contract of an `@HttpServiceClient` class: it gets the class's path and version and, for each of its
 * methods, the route and what the parameters carry, so that nothing is written twice. (An overriding method loses the
 * decorators of the one it overrides.) What the controller's methods say themselves wins.
 *
 * ```ts
 * @ImplementsClient(OrdersApi)
 * export class OrdersController implements OrdersApi { async get(id: string) { … } }
 * ```
 *
 * @throws DiscoveryError `INVALID_OPTION` when the class is no contract, or the controller lacks one of its methods
 * @publicApi
 */
export function ImplementsClient(contract: Type): ClassDecorator {
  return (target) => {
    const controller = target as unknown as Type;
    const agreed = contractOf(contract);
    if (agreed === undefined) throw misused(controller, contract, `${contract.name} has no @HttpServiceClient`);
    for (const [name, route] of routesOf(contract)) {
      const method: unknown = Reflect.get(controller.prototype as object, name);
      if (typeof method !== 'function' || method === Reflect.get(contract.prototype as object, name)) {
        throw misused(controller, contract, `the method ${name} is missing`);
      }
      copyRoute(contract, controller, name);
      receiveAsSent(contract, controller, name, route);
    }
    const { path, version } = agreed;
    Controller(version === undefined ? { path } : { path, version })(controller);
  };
}

/** A list of one element is a text in a query, which can't tell the two apart. */
const AS_LIST: PipeTransform = {
  transform: (value: unknown) => (value === undefined || value === null || Array.isArray(value) ? value : [value]),
};

/** What the contract's client sends arrives as what it was, where a controller alone wouldn't have it so. */
function receiveAsSent(contract: Type, controller: Type, name: string, route: Route): void {
  const types = Reflect.getMetadata('design:paramtypes', contract.prototype as object, name) as
    readonly unknown[] | undefined;
  for (const argument of route.arguments) {
    const { kind, index, name: field } = argument;
    if (kind === 'query' && field !== undefined && types?.[index] === Array)
      addPipe(controller, name, argument, AS_LIST);
    if (kind !== 'body' || field !== undefined) continue;
    const prototype = controller.prototype as object;
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name) ?? {
      value: Reflect.get(prototype, name) as unknown,
    };
    UseInterceptors(TextBodyInterceptor)(prototype, name, descriptor);
  }
}

function misused(controller: Type, contract: Type, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `${controller.name} can't serve ${contract.name}: ${problem}`, {
    field: controller.name,
  });
}
