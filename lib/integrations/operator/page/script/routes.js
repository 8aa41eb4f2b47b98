// The routes of the app's gateway, if it has any.

import { byId, keyed, newRow, setRow, setText } from './dom.js';
import { number, plural } from './words.js';
import { page } from './state.js';

const ROUTE_LEVELS = { closed: 'good', 'half-open': 'warn', open: 'bad', unknown: 'info' };

const ROUTE_WORDS = { closed: 'closed', 'half-open': 'half open', open: 'open', unknown: 'not called yet' };

export function renderRoutes() {
  const { total, routes } = page.overview.routes;
  byId('routes').hidden = total === 0;
  setText(
    byId('routes-note'),
    plural(total, 'route', 'routes') + (routes.length < total ? ', ' + routes.length + ' shown' : ''),
  );
  keyed(
    byId('route-list'),
    routes,
    ({ route }) => route,
    newRow,
    (row, { route, service, circuit, requests, failed, averageMs }) => {
      const counts =
        requests === 0 ? '' : ' · ' + plural(requests, 'request', 'requests') + ', ' + averageMs + ' ms each';
      const why = failed === 0 ? '' : number.format(failed) + ' of them failed';
      setRow(row, route, ROUTE_LEVELS[circuit], ROUTE_WORDS[circuit], 'to ' + service + counts, why);
    },
  );
}
