import { assertName } from '../../model/index.js';
import { declarationsOf } from '../declarations.js';

/**
 * Makes a method of a provider or controller one of the app's health checks. It may be async. The app is healthy as long as
 * no check throws, rejects, answers `false` or a result whose status is bad (Terminus's results count as they are), or
 * doesn't answer in time; otherwise every registry has it as `DOWN`. Works for instances of default scope.
 *
 * @param name what is checked, for log lines and probes: `db`
 * @publicApi
 */
export function HealthCheckOf(name: string): MethodDecorator {
  assertName(name, 'health check');
  return (target, method) => {
    declarationsOf(target).handlers.push({ kind: 'health', subject: name, method });
  };
}
