import { assertServiceName } from '../../model/index.js';
import { declarationsOf } from '../declarations.js';

/**
 * Calls a method of a provider or controller with the new `Snapshot`, and with what was added, removed and changed
 * (`InstancesDiff`), whenever the instances of a service did. The method may be async; what it throws is reported and
 * hurts nobody. Works for instances of default scope.
 *
 * @param service the service's name
 * @publicApi
 */
export function OnInstancesChange(service: string): MethodDecorator {
  assertServiceName(service, 'service');
  return (target, method) => {
    declarationsOf(target).handlers.push({ kind: 'instances', subject: service, method });
  };
}
