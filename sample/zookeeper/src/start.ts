import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SERVERS } from './backend.js';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function start(name: string): ChildProcess {
  const child = fork(fileURLToPath(new URL(`./${name}/main.js`, import.meta.url)), { stdio: 'inherit' });
  child.once('exit', (code, signal) => say(`${name} ${child.pid} has ended (${signal ?? code})`));
  return child;
}

// Needs a ZooKeeper: `npm run servers -- up zookeeper` brings one up, ASAB_ZOOKEEPER_SERVERS says where another one is.
const stocks = [start('stock'), start('stock')];
const gateway = start('gateway');
const children = [...stocks, gateway];

gateway.once('message', (message) => {
  const { url } = message as { readonly url: string };
  say(`
zookeeper   ${SERVERS}
gateway     ${url}                            calls one of the two stock processes each time
            ${url}/reserve                    at http://stock.service_id.asab, with the cluster's token
            ${url}/locate/service_id/stock    says where they are
            ${url}/call-me/tom                can then be called as http://tom.nickname.asab
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
