import { declarationsOf } from '../declarations.js';

/**
 * Calls a method of a provider or controller with a `ConfigChange` whenever the value of a key, or of any key below it,
 * changed. The method may be async; what it throws is reported and hurts nobody. Works for instances of default scope.
 *
 * @param path a key or a prefix; the empty text for every change
 * @publicApi
 */
export function OnConfigChange(path: string): MethodDecorator {
  return (target, method) => {
    declarationsOf(target).handlers.push({ kind: 'config', subject: path, method });
  };
}
