import { Injectable } from '@nestjs/common';
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
      if (typeof instance !== 'object' || instance === null || Object.getPrototypeOf(instance) === null) continue;
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

  private wrappers() {
    return [...this.modules.values()].flatMap((module) => [
      ...module.providers.values(),
      ...module.controllers.values(),
    ]);
  }
}
