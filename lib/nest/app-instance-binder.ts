import type { ConfigReader } from '../config/index.js';
import { toDiscoveryError, type DiscoveryError } from '../model/index.js';
import { declarationsFor, InstanceBinder, type Declarations } from './declarations.js';
import type { DiscoveryRuntime } from './discovery-runtime.js';

/** Binds the instances of one app. */
export class AppInstanceBinder extends InstanceBinder {
  private readonly byPrototype = new WeakMap<object, Declarations>();
  private readonly descriptors = new WeakMap<ConfigReader<unknown>, PropertyDescriptor>();
  private readonly used = new Set<string>();
  private problems: DiscoveryError[] | undefined = [];
  private onHandlers: (() => void) | undefined;

  constructor(private readonly runtime: DiscoveryRuntime) {
    super();
  }

  override bind(instance: object): void {
    const { values, refs, clients, handlers } = this.declarations(instance);
    for (const { key, expected } of refs) this.declare(key, expected);
    for (const { property, key, expected } of values) {
      Object.defineProperty(instance, property, this.descriptor(this.declare(key, expected)));
    }
    for (const token of clients) {
      this.used.add(token);
      if (this.problems === undefined) this.runtime.warmUp(token);
    }
    if (handlers.length > 0) this.onHandlers?.();
  }

  /**
   * Ends the start: throws what was wrong with the instances that were bound so far, all of them being there now, and
   * opens the watches of the clients that they use. From now on a problem is thrown where it arises.
   *
   * @param onHandlers told when an instance with handlers comes later, from a lazily loaded module
   */
  start(onHandlers: () => void): void {
    const [problem] = this.problems ?? [];
    if (problem !== undefined) throw problem;
    this.problems = undefined;
    this.onHandlers = onHandlers;
    for (const token of this.used) this.runtime.warmUp(token);
  }

  private declarations(instance: object): Declarations {
    const prototype = Object.getPrototypeOf(instance) as object;
    let declarations = this.byPrototype.get(prototype);
    if (declarations === undefined) this.byPrototype.set(prototype, (declarations = declarationsFor(instance)));
    return declarations;
  }

  private declare(key: string, expected: Declarations['refs'][number]['expected']): ConfigReader<unknown> {
    try {
      return this.runtime.configValues.declare(key, expected);
    } catch (error) {
      // Thrown at the end of the start, when Nest closes an app that can't start; here it would leave it half open.
      if (this.problems === undefined) throw error;
      this.problems.push(toDiscoveryError(error, 'CONFIG_VALUE_INVALID', key));
      return this.runtime.configValues.reader(key, expected);
    }
  }

  /** One getter for each reader, whatever the number of instances: engines make that a plain call. */
  private descriptor(reader: ConfigReader<unknown>): PropertyDescriptor {
    let descriptor = this.descriptors.get(reader);
    if (descriptor === undefined) {
      descriptor = { configurable: true, enumerable: true, get: () => reader.read() };
      this.descriptors.set(reader, descriptor);
    }
    return descriptor;
  }
}
