import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function start(name: string): ChildProcess {
  const child = fork(fileURLToPath(new URL(`./${name}/main.js`, import.meta.url)), { stdio: 'inherit' });
  child.once('exit', (code, signal) => say(`${name} ${child.pid} has ended (${signal ?? code})`));
  return child;
}

// Needs a NATS server with JetStream: `npm run servers -- up nats`, or NATS_URL.
const stocks = [start('stock'), start('stock')];
const gateway = start('gateway');
const children = [...stocks, gateway];

gateway.once('message', (message) => {
  const { url } = message as { readonly url: string };
  const bucket = `${process.env['NATS_SAMPLE'] ?? 'sample'}-config`;
  say(`
over HTTP   ${url}            one of the two stock processes, found in the presence bucket
over NATS   ${url}/price/21   their micro service, by queue group; /price/101 is an error answer
            ${url}/peers      what has been discovered, and the statistics of both
configure   nats kv put ${bucket} application.yaml 'greeting: hello'
fail over   kill -9 ${stocks[0]?.pid}   and go on calling
stop        Ctrl-C
`);
});

// The terminal sends Ctrl-C to the children too; whoever sends a signal to this process only means them as well.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of children) child.kill('SIGTERM');
  });
}
