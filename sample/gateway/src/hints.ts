import { join } from 'node:path';
import { CONFIG_DIRECTORY } from './backend.js';

/** What to try. Spring's gateway with its locator, for services of Nest: routes by file, and by the services' names. */
export const hints = (url: string, stock: number): string => `
by its name   ${url}/stock/quote/tea     the locator's route: what is included has one, /<name>/**
by the file   ${url}/quotes/tea          and ${url}/api/orders/7
documents     ${url}/docs                what can be asked of all services, on one page
page          ${url}/discovery           what it sees, and a switch that takes it out of traffic
change it     edit ${join(CONFIG_DIRECTORY, 'application.yaml')}
events        curl -N ${url}/stock/ticks   a stream that goes by as it comes
fail over     kill -9 ${stock}   and go on calling: no request fails
stop          Ctrl-C
`;
