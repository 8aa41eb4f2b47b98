import type { Balancer, Route } from '../balancing/index.js';
import type { Callee } from './attempts.js';
import { routeSettings, type ResolvedCallOptions } from './call-options.js';
import { RetryBudget } from './retry-budget.js';

/** What an HTTP client speaks. */
const HTTP_SCHEMES: readonly string[] = Object.freeze(['http', 'https']);

/** A service that is called by HTTP: only instances that speak it are picked. */
export class ServiceCallee implements Callee {
  readonly budget: RetryBudget;
  readonly schemes = HTTP_SCHEMES;
  /** The route of all who pick an instance of the service, whatever they speak. */
  readonly anyRoute: Route;
  private httpRoute: Route | undefined;

  constructor(
    readonly balancer: Balancer,
    readonly options: ResolvedCallOptions,
    readonly time: () => number,
  ) {
    const { retry } = options;
    this.budget = new RetryBudget(retry.budgetShare, retry.budgetPerSecond, time);
    this.anyRoute = balancer.route(routeSettings(options));
  }

  /** As a rule all instances speak HTTP, and calls are picked by the route of all others. */
  get route(): Route {
    if (!this.balancer.hasOthersThan(HTTP_SCHEMES)) return this.anyRoute;
    this.httpRoute ??= this.balancer.route({ ...routeSettings(this.options), schemes: HTTP_SCHEMES });
    return this.httpRoute;
  }
}
