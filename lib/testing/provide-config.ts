import type { ValueProvider } from '@nestjs/common';
import { coerce, entriesOf, PropertyTree, rawValue } from '../config/index.js';
import { declarationsFor, InstanceBinder } from '../nest/declarations.js';

/**
 * Configuration for a test of one class, without the module: what its `@ConfigValue` properties read.
 *
 * ```ts
 * Test.createTestingModule({ providers: [Checkout, provideConfig({ checkout: { limit: 5 } })] })
 * ```
 *
 * @param values nested objects or dotted keys; what is left out has its default
 * @throws DiscoveryError `CONFIG_DOCUMENT_INVALID`; and, when a property is read that has neither value nor default,
 * `CONFIG_VALUE_MISSING`
 */
export function provideConfig(values: Readonly<Record<string, unknown>> = {}): ValueProvider {
  return { provide: InstanceBinder, useValue: new FixedBinder(PropertyTree.merge([entriesOf('test', values)])) };
}

class FixedBinder extends InstanceBinder {
  constructor(private readonly tree: PropertyTree) {
    super();
  }

  override bind(instance: object): void {
    for (const { property, key, expected } of declarationsFor(instance).values) {
      const get = (): unknown => coerce(key, rawValue(this.tree, key), expected);
      Object.defineProperty(instance, property, { configurable: true, enumerable: true, get });
    }
  }
}
