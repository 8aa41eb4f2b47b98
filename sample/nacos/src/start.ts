import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { NACOS } from './backend.js';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function start(name: string): ChildProcess {
  const child = fork(fileURLToPath(new URL(`./${name}/main.js`, import.meta.url)), { stdio: 'inherit' });
  child.once('exit', (code, signal) => say(`${name} ${child.pid} has ended (${signal ?? code})`));
  return child;
}

// Two apps, one of them twice; a Spring Cloud Alibaba application at the same server sees them, and is seen, by name.
const stocks = [start('stock'), start('stock')];
const gateway = start('gateway');
const children = [...stocks, gateway];

gateway.once('message', (message) => {
  const { url } = message as { readonly url: string };
  say(`
gateway     ${url}         calls one of the two stock processes each time
            ${url}/peers   shows what it has discovered
configure   publish 'greeting: hello' and 'stock.limit: 5' as application.yaml (type yaml) in DEFAULT_GROUP at ${NACOS}:
            both change while everything runs
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
