import { CONSUL_DNS } from './backend.js';

/** What to try. Two apps, one of them twice; the gateway knows nothing but DNS. */
export const hints = (url: string, stock: number): string => `
gateway     ${url}         calls one of the two stock processes each time
            ${url}/peers   shows what it has discovered
page        ${url}/discovery   what it sees of them
records     dig @${CONSUL_DNS.replace(':', ' -p ')} stock.service.consul SRV
fail over   kill -9 ${stock}   and go on calling: no request fails
stop        Ctrl-C
`;
