import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';

/** Where Nest's decorators keep the path of a controller and of a method. */
const PATH = 'path';

/** The first segments of the paths that the app's own controllers answer, as far as they are fixed. */
export function ownSegments(modules: ModulesContainer, config: ApplicationConfig): ReadonlySet<string> {
  const prefix = config.getGlobalPrefix();
  const found = new Set<string>();
  for (const module of modules.values()) {
    for (const { metatype } of module.controllers.values()) {
      if (typeof metatype !== 'function') continue;
      const { prototype } = metatype as { readonly prototype: object };
      const methods = Object.getOwnPropertyNames(prototype).flatMap((name) => {
        const method: unknown = Object.getOwnPropertyDescriptor(prototype, name)?.value;
        return typeof method === 'function' ? pathsOf(method) : [];
      });
      for (const base of pathsOf(metatype)) {
        for (const path of methods) {
          const first = firstOf(`${prefix}/${base}/${path}`);
          if (first !== undefined) found.add(first);
        }
      }
    }
  }
  return found;
}

function pathsOf(target: object): readonly string[] {
  const path: unknown = Reflect.getMetadata(PATH, target);
  if (typeof path === 'string') return [path];
  return Array.isArray(path) ? path.filter((one) => typeof one === 'string') : [];
}

function firstOf(path: string): string | undefined {
  const first = path.split('/').find((segment) => segment !== '');
  return first === undefined || /[:*{}()?]/.test(first) ? undefined : first;
}
