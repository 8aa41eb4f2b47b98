import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EUREKA_URL } from './backend.js';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function start(name: string): ChildProcess {
  const child = fork(fileURLToPath(new URL(`./${name}/main.js`, import.meta.url)), { stdio: 'inherit' });
  child.once('exit', (code, signal) => say(`${name} ${child.pid} has ended (${signal ?? code})`));
  return child;
}

// Two apps, one of them twice; a Spring application at the same server calls them, and is called, by name.
const stocks = [start('stock'), start('stock')];
const shop = start('shop');
const children = [...stocks, shop];

shop.once('message', (message) => {
  const { url } = message as { readonly url: string };
  say(`
shop        ${url}         calls a stock process, which calls the shop for its opening hours
            ${url}/peers   shows what it has discovered
registry    ${EUREKA_URL.replace(/\/eureka.*$/, '')}         Eureka's own page
fail over   kill -9 ${stocks[0]?.pid}   and go on calling: no request fails
drain       curl -X PUT '${EUREKA_URL}/apps/STOCK/<id>/status?value=OUT_OF_SERVICE'   (an id from /peers)
stop        Ctrl-C
`);
});

// The terminal sends Ctrl-C to the children too; whoever sends a signal to this process only means them as well.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of children) child.kill('SIGTERM');
  });
}
