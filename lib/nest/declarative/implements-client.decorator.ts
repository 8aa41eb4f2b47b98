import { Controller, type Type } from '@nestjs/common';
import { DiscoveryError } from '../../model/index.js';
import { contractOf } from './http-service-client.decorator.js';
import { copyRoute, routesOf } from './route-metadata.js';

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
    for (const name of routesOf(contract).keys()) {
      const method: unknown = Reflect.get(controller.prototype as object, name);
      if (typeof method !== 'function' || method === Reflect.get(contract.prototype as object, name)) {
        throw misused(controller, contract, `the method ${name} is missing`);
      }
      copyRoute(contract, controller, name);
    }
    const { path, version } = agreed;
    Controller(version === undefined ? { path } : { path, version })(controller);
  };
}

function misused(controller: Type, contract: Type, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `${controller.name} can't serve ${contract.name}: ${problem}`, {
    field: controller.name,
  });
}
