import { SERVERS } from './backend.js';

/**
 * What to try. Needs a ZooKeeper: `npm run servers -- up zookeeper` brings one up, ASAB_ZOOKEEPER_SERVERS says where
 * another one is.
 */
export const hints = (url: string, stock: number): string => `
zookeeper   ${SERVERS}
gateway     ${url}                            calls one of the two stock processes each time
            ${url}/peers                      shows what it has discovered
            ${url}/reserve                    at http://stock.service_id.asab, with the cluster's token
            ${url}/locate/service_id/stock    says where they are
            ${url}/call-me/tom                can then be called as http://tom.nickname.asab
page        ${url}/discovery                  what it sees, and a switch that takes it out of traffic
fail over   kill -9 ${stock}   and go on calling: no request fails
stop        Ctrl-C
`;
