import type { Balancer, Route } from '../../balancing/index.js';
import {
  CallGuard,
  RetryBudget,
  routeSettings,
  type Bulkhead,
  type Callee,
  type ResolvedCallOptions,
} from '../../http/index.js';

/** A service as the clients of one protocol call it: only instances that may speak it are picked. */
export class CalledService extends CallGuard implements Callee {
  readonly budget: RetryBudget;
  private readonly anyRoute: Route;
  private ownRoute: Route | undefined;

  /**
   * @param schemes of the instances that are called; undefined: any
   * @param time milliseconds since the epoch
   */
  constructor(
    readonly balancer: Balancer,
    options: ResolvedCallOptions,
    readonly schemes: readonly string[] | undefined,
    readonly time: () => number,
    bulkhead: Bulkhead | undefined,
  ) {
    super(options, bulkhead);
    const { retry } = options;
    this.budget = new RetryBudget(retry.budgetShare, retry.budgetPerSecond, time);
    this.anyRoute = balancer.route(routeSettings(options));
  }

  /** As a rule all instances may, and calls are picked by the route of all others. */
  get route(): Route {
    const { schemes } = this;
    if (schemes === undefined || !this.balancer.hasOthersThan(schemes)) return this.anyRoute;
    this.ownRoute ??= this.balancer.route({ ...routeSettings(this.options), schemes });
    return this.ownRoute;
  }
}
