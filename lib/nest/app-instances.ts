import { Injectable, type InjectionToken, type OptionalFactoryDependency } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';

/** An instance that lives as long as its app. */
export interface AppInstance {
  readonly instance: object;
  /** Name of its class, for messages. */
  readonly name: string;
}

/** Finds the providers and controllers of the app. */
@Injectable()
export class AppInstances {
  constructor(private readonly modules: ModulesContainer) {}

  /** Every provider and controller of default scope, each object once, in the order of their modules. */
  all(): readonly AppInstance[] {
    const found = new Map<object, AppInstance>();
    for (const wrapper of this.wrappers()) {
      if (wrapper.isTransient || !wrapper.isDependencyTreeStatic()) continue;
      const { instance } = wrapper as { readonly instance: unknown };
      if (typeof instance !== 'object' || instance === null || !hasClass(instance)) continue;
      if (!found.has(instance)) found.set(instance, { instance, name: String(wrapper.name) });
    }
    return [...found.values()];
  }

  /** The classes of providers and controllers that have another scope: no instance of theirs lives on. */
  shortLived(): readonly { readonly prototype: object; readonly name: string }[] {
    return this.wrappers().flatMap((wrapper) => {
      if (!wrapper.isTransient && wrapper.isDependencyTreeStatic()) return [];
      const prototype = (wrapper.metatype as { readonly prototype?: unknown } | null)?.prototype;
      return typeof prototype === 'object' && prototype !== null ? [{ prototype, name: String(wrapper.name) }] : [];
    });
  }

  /** Whether a provider or a controller asks for what a token stands for. */
  injects(token: unknown): boolean {
    return this.wrappers().some(({ metatype, inject }) => {
      if (inject !== undefined && inject !== null && metatype !== token) {
        const wanted = inject as readonly (InjectionToken | OptionalFactoryDependency)[];
        return wanted.some(
          (one) => one === token || (typeof one === 'object' && 'token' in one && one.token === token),
        );
      }
      return typeof metatype === 'function' && dependenciesOf(metatype).includes(token);
    });
  }

  private wrappers() {
    return [...this.modules.values()].flatMap((module) => [
      ...module.providers.values(),
      ...module.controllers.values(),
    ]);
  }
}

/**
 * A method of any provider, or undefined. A provider may be a proxy that throws when it is looked at outside of a request
 * (nestjs-cls), or that has whatever one asks for (auto-mocks): neither has what it doesn't say that it has.
 */
export function methodOf(instance: object, name: PropertyKey): ((...args: readonly unknown[]) => unknown) | undefined {
  try {
    if (!(name in instance)) return undefined;
    const method = (instance as Record<PropertyKey, unknown>)[name];
    return typeof method === 'function' ? (...args) => Reflect.apply(method, instance, args) as unknown : undefined;
  } catch {
    return undefined;
  }
}

/** What a class asks for, by its constructor's types and by `@Inject`, as Nest keeps it. */
function dependenciesOf(type: object): readonly unknown[] {
  const types = (Reflect.getMetadata('design:paramtypes', type) ?? []) as readonly unknown[];
  const given = (Reflect.getMetadata('self:paramtypes', type) ?? []) as readonly { readonly param?: unknown }[];
  const properties = (Reflect.getMetadata('self:properties_metadata', type) ?? []) as readonly {
    readonly type?: unknown;
  }[];
  return [...types, ...given.map(({ param }) => param), ...properties.map((property) => property.type)];
}

function hasClass(instance: object): boolean {
  try {
    return Object.getPrototypeOf(instance) !== null;
  } catch {
    return false;
  }
}
