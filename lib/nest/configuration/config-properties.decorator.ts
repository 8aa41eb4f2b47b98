import type { Type } from '@nestjs/common';
import { checkOptions, text } from '../../backend/index.js';
import { DiscoveryError } from '../../model/index.js';
import { CONFIG_OPTION_CHECKS } from './config-option-checks.js';
import { declareConfigClass } from '../declared-providers.js';
import { propertiesOf, setPrefix, type ConfigPropertiesOptions, type ConfigPropertyOptions } from './config-class.js';

/**
 * Makes a class the shape of the configuration below a prefix. Whoever injects it reads the newest values, which are exchanged as
 * a whole: two properties that are read without an `await` between them are of the same configuration. Values come with the
 * types of the properties; one that doesn't fit keeps the whole configuration as it was before. `@OnConfigChange(DbProperties)`
 * gives the old and the new object.
 *
 * ```ts
 * @ConfigProperties('db')
 * export class DbProperties {
 *   @ConfigProperty() readonly url!: string;
 *   @ConfigProperty() readonly poolSize: number = 10;          // db.poolSize, db.pool-size, DB_POOL_SIZE
 *   @ConfigProperty({ of: String }) readonly hosts: string[] = [];
 * }
 * ```
 *
 * @param prefix the key above those of the properties
 * @throws DiscoveryError `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function ConfigProperties(prefix: string, options: ConfigPropertiesOptions = {}): ClassDecorator {
  text(prefix, '@ConfigProperties: prefix');
  checkOptions(`@ConfigProperties('${prefix}')`, options, { schema: CONFIG_OPTION_CHECKS.schema });
  return (target) => {
    const type = target as unknown as Type;
    if (type.length > 0) {
      const problem = `@ConfigProperties('${prefix}'): the constructor of ${type.name} must have no parameters`;
      throw new DiscoveryError('INVALID_OPTION', problem, { field: type.name });
    }
    setPrefix(type, { prefix, schema: options.schema });
    declareConfigClass(type);
  };
}

/**
 * A property of a class with {@link ConfigProperties}, with its declared type: a text, a number, a boolean, a list, bytes
 * (`Buffer`), or a class whose properties are decorated too.
 * @throws DiscoveryError `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function ConfigProperty(options: ConfigPropertyOptions = {}): PropertyDecorator {
  checkOptions('@ConfigProperty', options, CONFIG_OPTION_CHECKS);
  return (target, property) => {
    if (typeof property !== 'string') {
      throw new DiscoveryError('INVALID_OPTION', '@ConfigProperty: a symbol is no key', { field: String(property) });
    }
    const designType: unknown = Reflect.getMetadata('design:type', target, property);
    propertiesOf(target).set(property, { ...options, designType });
  };
}
