import {
  ForbiddenException,
  HttpException,
  type CanActivate,
  type ExecutionContext,
  type OnModuleInit,
  type Type,
} from '@nestjs/common';
import type { ApplicationConfig, ModuleRef } from '@nestjs/core';
import { from, isObservable, lastValueFrom } from 'rxjs';
import { DiscoveryError } from '../../model/index.js';
import type { Route } from './route.js';
import type { RouteGuard } from './route.options.js';

/** The class that guards are shown as the controller of the gateway's routes. */
export class GatewayRoutes {}

/** Runs the app's global guards and a route's own before a request is passed on. */
export class RouteGuards {
  private readonly made = new Map<RouteGuard, CanActivate>();

  constructor(
    private readonly modules: ModuleRef,
    private readonly config: ApplicationConfig,
    private readonly named: Readonly<Record<string, Type<CanActivate> | CanActivate>>,
    private readonly withGlobal: boolean,
  ) {}

  /**
   * Makes what a route needs, so that a request needn't wait and a mistake is told when the route comes.
   * @throws DiscoveryError `INVALID_OPTION`
   */
  async prepare(routes: readonly Route[]): Promise<void> {
    if (this.withGlobal && this.config.getGlobalRequestGuards().length > 0) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        "the gateway's routes can't run a global guard that is request-scoped: give the routes guards of default scope, and set globalGuards: false",
        { field: 'globalGuards' },
      );
    }
    for (const guard of routes.flatMap(({ guards }) => guards)) {
      if (!this.made.has(guard)) this.made.set(guard, await this.make(guard));
    }
  }

  /**
   * @throws HttpException what a guard throws, or 403 when one says no
   */
  async check(route: Route, request: object, response: object): Promise<void> {
    const own = route.guards.flatMap((guard) => this.made.get(guard) ?? []);
    const guards = this.withGlobal ? [...this.config.getGlobalGuards(), ...own] : own;
    if (guards.length === 0) return;
    if (own.length !== route.guards.length) throw new HttpException('a guard of the route is not ready', 503);
    const context = contextOf(route, [request, response, () => {}]);
    for (const guard of guards) {
      const answer = guard.canActivate(context);
      const allowed = isObservable(answer) ? await lastValueFrom(from(answer)) : await answer;
      if (!allowed) throw new ForbiddenException('Forbidden resource');
    }
  }

  /** Whether a request must wait for anything. */
  isOpen(route: Route): boolean {
    return route.guards.length === 0 && (!this.withGlobal || this.config.getGlobalGuards().length === 0);
  }

  private async make(guard: RouteGuard): Promise<CanActivate> {
    if (typeof guard === 'string') {
      const found = Object.hasOwn(this.named, guard) ? this.named[guard] : undefined;
      if (found !== undefined) return this.make(found);
      throw new DiscoveryError('INVALID_OPTION', `the gateway: namedGuards has no guard '${guard}'`, {
        field: 'guards',
      });
    }
    if (typeof guard !== 'function') return guard;
    try {
      return this.modules.get<CanActivate>(guard, { strict: false });
    } catch {
      // No module provides it: made and begun here, as @UseGuards does.
      const made = await this.modules.create<CanActivate & Partial<OnModuleInit>>(guard);
      await made.onModuleInit?.();
      return made;
    }
  }
}

/** What a guard is shown of a request. */
function contextOf(
  route: Route,
  args: readonly [request: object, response: object, next: () => void],
): ExecutionContext {
  const unsupported = (): never => {
    throw new DiscoveryError('UNSUPPORTED', "the gateway's routes are of HTTP");
  };
  const http = { getRequest: () => args[0], getResponse: () => args[1], getNext: () => args[2] };
  const context = {
    getClass: () => GatewayRoutes,
    getHandler: () => route.handler,
    getArgs: () => [...args],
    getArgByIndex: (index: number) => args[index],
    getType: () => 'http',
    switchToHttp: () => http,
    switchToRpc: unsupported,
    switchToWs: unsupported,
  };
  // Nest's types let each caller say what it expects.
  return context as unknown as ExecutionContext;
}
