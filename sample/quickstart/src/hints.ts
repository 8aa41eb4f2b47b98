import { join } from 'node:path';
import { CONFIG_DIRECTORY } from './backend.js';

/** What to try. Three processes and no registry server: they find each other through a folder of this machine. */
export const hints = (url: string, stock: number): string => `
gateway     ${url}         calls one of the two stock processes each time
            ${url}/peers   shows what it has discovered
page        ${url}/discovery   what it sees, and a switch that takes it out of traffic
configure   edit ${join(CONFIG_DIRECTORY, 'application.yaml')}
fail over   kill -9 ${stock}   and go on calling: no request fails
stop        Ctrl-C
`;
