import { ConsulClient } from 'nestjs-service-discovery/consul';
import { CONSUL_URL } from './backend.js';

/** What to try. Two apps, one of them twice. */
export const hints = (url: string, stock: number): string => `
shop        ${url}         calls a stock process, which calls the shop for its opening hours
            ${url}/peers   shows what it has discovered
page        ${url}/discovery   what it sees, and a switch that takes it out of traffic
registry    ${CONSUL_URL}/ui      Consul's own page
configure   curl -X PUT -d 'Good evening' ${CONSUL_URL}/v1/kv/config/application/greeting
drain       curl -X PUT '${CONSUL_URL}/v1/agent/service/maintenance/<id>?enable=true'   (an id from /peers)
fail over   kill -9 ${stock}   and go on calling: no request fails
stop        Ctrl-C
`;

/** Something to read, unless somebody has configured it already. The client needs no Nest. */
export async function prepare(): Promise<void> {
  const client = new ConsulClient(CONSUL_URL);
  await client.kv.cas('config/application/greeting', 'Hello from Consul', { index: 0 });
  await client.close();
}
