import type { IncomingMessage } from 'node:http';
import { checkOptions, listOf } from '../../backend/index.js';
import type { ConfigClient, ConfigData } from '../../config/index.js';
import { DiscoveryError, messageOf } from '../../model/index.js';
import type { Logger } from '../../backend/index.js';
import type { NormalPath } from './normal-path.js';
import { Route } from './route.js';
import type { RouteGuards } from './route-guards.js';
import { route as routeCheck, type GatewayRoute } from './route.options.js';
import { RouteTable, type Found } from './route-table.js';

/**
 * Compiles routes.
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function compileRoutes(given: unknown, what = 'ServiceGatewayModule'): readonly Route[] {
  checkOptions(what, { routes: given }, { routes: listOf(routeCheck) });
  return (given as readonly GatewayRoute[]).map((one, at) => new Route(one, `routes[${at}]`));
}

/** All routes of the gateway: those of the options, those of a live document, those of the locator; in this order. */
export class GatewayRoutesState {
  private documented: readonly Route[] = [];
  private located: readonly Route[] = [];
  private table: RouteTable;
  /** Counts documents, so that one that is late doesn't replace a newer one. */
  private documents = 0;

  constructor(
    private readonly own: readonly Route[],
    private readonly guards: RouteGuards,
    private readonly logger: Logger,
  ) {
    this.table = new RouteTable(own);
  }

  /** Those that are in force. */
  get routes(): readonly Route[] {
    return this.table.routes;
  }

  find(path: NormalPath, request: IncomingMessage): Found | undefined {
    return this.table.find(path, request);
  }

  /** Takes what the locator made. */
  locate(routes: readonly Route[]): void {
    this.located = routes;
    this.build();
  }

  /** Follows a key of the configuration; what doesn't fit there changes nothing. @returns how to end that */
  async follow(config: ConfigClient, key: string): Promise<() => void> {
    const stop = config.onChange(key, ({ newValue }) => void this.takeDocument(key, newValue));
    await this.takeDocument(key, config.get(key));
    return stop;
  }

  private async takeDocument(key: string, value: ConfigData | undefined): Promise<void> {
    this.documents += 1;
    const turn = this.documents;
    try {
      const routes = compileRoutes(listIn(value), `the gateway's routes at ${key}`);
      await this.guards.prepare(routes);
      if (turn !== this.documents) return;
      this.documented = routes;
      this.build();
    } catch (error) {
      this.logger.error(`the gateway's routes at ${key} stay as they were: ${messageOf(error)}`);
    }
  }

  private build(): void {
    this.table = new RouteTable([...this.own, ...this.documented, ...this.located]);
  }
}

/** A list of routes, or routes by their ids. */
function listIn(value: ConfigData | undefined): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as readonly unknown[];
  if (typeof value !== 'object') {
    throw new DiscoveryError('INVALID_OPTION', 'it must be a list of routes, or routes by their ids', {
      field: 'routes',
    });
  }
  return Object.entries(value).map(([id, one]) => (isObject(one) ? { id, ...one } : one));
}

function isObject(value: ConfigData): value is { readonly [key: string]: ConfigData } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
