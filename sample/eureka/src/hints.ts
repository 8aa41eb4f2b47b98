import { EUREKA_URL } from './backend.js';

/** What to try. Two apps, one of them twice; a Spring application at the same server calls them, and is called, by name. */
export const hints = (url: string, stock: number): string => `
shop        ${url}         calls a stock process, which calls the shop for its opening hours
            ${url}/peers   shows what it has discovered
page        ${url}/discovery   what it sees, and a switch that takes it out of traffic
registry    ${EUREKA_URL.replace(/\/eureka.*$/, '')}         Eureka's own page
fail over   kill -9 ${stock}   and go on calling: no request fails
drain       curl -X PUT '${EUREKA_URL}/apps/STOCK/<id>/status?value=OUT_OF_SERVICE'   (an id from /peers)
stop        Ctrl-C
`;
