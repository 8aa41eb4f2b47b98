import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { CONFIG_DIRECTORY } from './backend.js';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function start(name: string): ChildProcess {
  const child = fork(fileURLToPath(new URL(`./${name}/main.js`, import.meta.url)), { stdio: 'inherit' });
  child.once('exit', (code, signal) => say(`${name} ${child.pid} has ended (${signal ?? code})`));
  return child;
}

// Three processes and no registry server: they find each other through a folder of this machine.
const stocks = [start('stock'), start('stock')];
const gateway = start('gateway');
const children = [...stocks, gateway];

gateway.once('message', (message) => {
  const { url } = message as { readonly url: string };
  say(`
gateway     ${url}         calls one of the two stock processes each time
            ${url}/peers   shows what it has discovered
configure   edit ${join(CONFIG_DIRECTORY, 'application.yaml')}
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
