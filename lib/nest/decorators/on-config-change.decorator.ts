import type { Type } from '@nestjs/common';
import { DiscoveryError } from '../../model/index.js';
import { configClassOf } from '../configuration/config-class.js';
import { declarationsOf } from '../declarations.js';

/**
 * Calls a method of a provider or controller whenever the value of a key, or of any key below it, changed: with a `ConfigChange`;
 * or, for a class with `@ConfigProperties`, with a `ConfigObjectChange`, which has its old and its new object. The method may be
 * async; what it throws is reported and hurts nobody. Works for instances of default scope.
 *
 * @param subject a key or a prefix, the empty text for every change; or a class with `@ConfigProperties`
 * @throws DiscoveryError `INVALID_OPTION` for another class, when the class is defined
 * @publicApi
 */
export function OnConfigChange(subject: string | Type): MethodDecorator {
  return (target, method) => {
    const { handlers } = declarationsOf(target);
    if (typeof subject === 'string') {
      handlers.push({ kind: 'config', subject, method });
      return;
    }
    const prefix = configClassOf(subject)?.prefix;
    if (prefix === undefined) {
      const problem = '@OnConfigChange: give it a key, or a class with @ConfigProperties';
      throw new DiscoveryError('INVALID_OPTION', problem, { field: 'subject' });
    }
    handlers.push({ kind: 'config', subject: prefix, type: subject, method });
  };
}
