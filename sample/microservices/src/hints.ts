import { join } from 'node:path';
import { CONFIG_DIRECTORY } from './backend.js';

/** What to try: HTTP, then gRPC, then TCP, all by the services' names; and a canary of the last one. */
export const hints = (url: string, stock: number): string => `
call          ${url}   the gateway asks ORDERS by gRPC, which asks STOCK by TCP
the canary    curl -H 'x-lane: canary' ${url}/orders/7   or -H 'x-user: alice': a rule's, and that of a tenth of all
page          ${url}/discovery   what it sees, and a switch that takes it out of traffic
change it     edit ${join(CONFIG_DIRECTORY, 'application.yaml')}
fail over     kill -9 ${stock}   and go on calling: no request fails
stop          Ctrl-C
`;
