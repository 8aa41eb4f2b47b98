import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ConsulClient } from 'nestjs-service-discovery/consul';
import { CONSUL_URL } from './backend.js';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function start(name: string): ChildProcess {
  const child = fork(fileURLToPath(new URL(`./${name}/main.js`, import.meta.url)), { stdio: 'inherit' });
  child.once('exit', (code, signal) => say(`${name} ${child.pid} has ended (${signal ?? code})`));
  return child;
}

// Something to read, unless somebody has configured it already. The client needs no Nest.
const client = new ConsulClient(CONSUL_URL);
await client.kv.cas('config/application/greeting', 'Hello from Consul', { index: 0 });
await client.close();

// Two apps, one of them twice.
const stocks = [start('stock'), start('stock')];
const shop = start('shop');
const children = [...stocks, shop];

shop.once('message', (message) => {
  const { url } = message as { readonly url: string };
  say(`
shop        ${url}         calls a stock process, which calls the shop for its opening hours
            ${url}/peers   shows what it has discovered
registry    ${CONSUL_URL}/ui      Consul's own page
configure   curl -X PUT -d 'Good evening' ${CONSUL_URL}/v1/kv/config/application/greeting
drain       curl -X PUT '${CONSUL_URL}/v1/agent/service/maintenance/<id>?enable=true'   (an id from /peers)
fail over   kill -9 ${stocks[0]?.pid}   and go on calling: no request fails
stop        Ctrl-C
`);
});

// The terminal sends Ctrl-C to the children too; whoever sends a signal to this process only means them as well.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of children) child.kill('SIGTERM');
  });
}
