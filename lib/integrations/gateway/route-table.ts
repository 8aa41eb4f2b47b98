import type { IncomingMessage } from 'node:http';
import type { NormalPath } from './normal-path.js';
import type { PathMatch } from './path-pattern.js';
import type { Route } from './route.js';

/** A route that takes a request. */
export interface Found {
  readonly route: Route;
  readonly match: PathMatch;
}

/** Routes in their order: the first that matches takes a request. Immutable; found by the first segment. */
export class RouteTable {
  private readonly byFirst = new Map<string, Route[]>();
  /** Those that may begin with anything, for what no other begins with. */
  private readonly others: readonly Route[];

  constructor(readonly routes: readonly Route[]) {
    const firsts = new Set(routes.flatMap(({ patterns }) => patterns.map(({ first }) => first)));
    const mayBegin = (route: Route, with_: string | undefined): boolean =>
      route.patterns.some(({ first }) => first === undefined || first === with_);
    for (const first of firsts) {
      if (first !== undefined)
        this.byFirst.set(
          first,
          routes.filter((route) => mayBegin(route, first)),
        );
    }
    this.others = routes.filter((route) => mayBegin(route, undefined));
  }

  find(path: NormalPath, request: IncomingMessage): Found | undefined {
    const candidates = this.byFirst.get(path.segments[0] ?? '') ?? this.others;
    for (const route of candidates) {
      const match = route.match(path, request);
      if (match !== undefined) return { route, match };
    }
    return undefined;
  }
}
