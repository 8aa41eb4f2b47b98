import { NACOS } from './backend.js';

/** What to try. Two apps, one of them twice; a Spring Cloud Alibaba application at the same server sees them, and is seen, by name. */
export const hints = (url: string, stock: number): string => `
gateway     ${url}         calls one of the two stock processes each time
            ${url}/peers   shows what it has discovered
page        ${url}/discovery   what it sees, and a switch that takes it out of traffic
configure   publish 'greeting: hello' and 'stock.limit: 5' as application.yaml (type yaml) in DEFAULT_GROUP at ${NACOS}:
            both change while everything runs
fail over   kill -9 ${stock}   and go on calling: no request fails
stop        Ctrl-C
`;
