import { parseArgs } from 'node:util';
import { isAlive, withLock } from './cache.js';
import { Guard } from './guard.js';
import { describeExternal, ServerPool, whilePortsAreTaken } from './pool.js';
import { products } from './products/index.js';
import { progress, whileShowing } from './progress.js';
import { end, kept, remember } from './state.js';
import { provideChromium } from './toolchains/chromium.js';
import { providePrometheus } from './toolchains/prometheus.js';
import { type ProductName, productNames, type ServerInfo, variants } from './types.js';

const usage = `Usage: npm run servers -- <command> [name…] [--json]

  up         start servers and leave them running (all products, in their default variant, if none is named)
  status     what is running
  env        the same as lines for a shell: export CONSUL_URL=…
  down       end servers (all if none is named)
  provision  build or download, start nothing (--all: every variant, Prometheus and Chromium)

Names: ${productNames.flatMap((product) => variants[product].map((variant) => `${product}:${variant}`)).join(' ')}
A product alone means its first variant.`;

interface Wanted {
  readonly name: string;
  readonly product: ProductName;
  readonly variant: string;
  readonly isDefault: boolean;
}

type Row = ServerInfo & { readonly name: string; readonly state: 'up' | 'down' | 'external' };

function parseName(text: string): Wanted {
  const [product = '', variant] = text.split(':');
  const found = productNames.find((known) => known === product);
  const known: readonly string[] = found ? variants[found] : [];
  const chosen = variant ?? known[0];
  if (!found || chosen === undefined || !known.includes(chosen)) throw new Error(`unknown server ${text}\n\n${usage}`);
  return { name: `${found}:${chosen}`, product: found, variant: chosen, isDefault: chosen === known[0] };
}

function allOf(everyVariant: boolean): Wanted[] {
  return productNames
    .flatMap((product) => (everyVariant ? variants[product].map((variant) => `${product}:${variant}`) : [product]))
    .map(parseName);
}

async function up(wanted: readonly Wanted[]): Promise<Row[]> {
  const pool = new ServerPool();
  const running = await kept();
  const missing = wanted.filter(({ name }) => !running.has(name));
  // One after the other: two builds at once would only be slower.
  const ready: Wanted[] = [];
  for (const one of missing) {
    const address = one.isDefault && process.env[products[one.product].variable];
    const provision = address ? undefined : await pool.provision(one.product, one.variant);
    if (provision?.available === false) report(one.name, provision.reason);
    else if (!address) ready.push(one);
  }
  if (ready.length > 0) await whileShowing('starting', startMissing(ready));
  return status(wanted);
}

/** Under a lock, so that two calls at once don't start the same server twice. */
function startMissing(wanted: readonly Wanted[]): Promise<void> {
  return withLock('up', async () => {
    const running = await kept();
    const missing = wanted.filter(({ name }) => !running.has(name));
    await Promise.all(missing.map((one) => start(one).catch((error: unknown) => report(one.name, error))));
  });
}

function report(name: string, problem: unknown): void {
  process.exitCode = 1;
  progress(`${name}: ${problem instanceof Error ? problem.message : String(problem)}`);
}

async function start({ name, product, variant }: Wanted): Promise<void> {
  const guard = new Guard();
  try {
    const server = await whilePortsAreTaken(() => products[product].start({ variant, guard }));
    // In this order: a note without a server is found out later, a server without a note would never be found.
    await remember(name, { guard: guard.pid, server: server.describe() });
    await guard.keep();
  } catch (error) {
    await guard.end();
    throw error;
  }
}

async function status(wanted: readonly Wanted[]): Promise<Row[]> {
  const running = await kept();
  const rows: Row[] = [];
  for (const { name, product, variant, isDefault } of wanted) {
    const note = running.get(name);
    const address = isDefault ? process.env[products[product].variable] : undefined;
    if (note) {
      const alive = note.server.nodes.every((node) => node.pid !== undefined && isAlive(node.pid));
      rows.push({ name, state: alive ? 'up' : 'down', ...note.server });
    } else if (address) {
      rows.push({ name, state: 'external', ...(await describeExternal(product, variant, address)) });
    }
  }
  return rows;
}

async function down(wanted: readonly Wanted[] | undefined): Promise<void> {
  const running = await kept();
  const names = wanted ? wanted.map(({ name }) => name) : [...running.keys()];
  const ends = names.map(async (name) => {
    const note = running.get(name);
    if (!note) return progress(`${name} is not running`);
    await end(name, note);
    progress(`${name} ended`);
  });
  await Promise.all(ends);
}

/** One flat object a server, for `--json`. */
function flat(row: Row): object {
  const [first] = row.nodes;
  const { pid, dataDir, ports, url } = first ?? {};
  return { ...row, url, urls: row.nodes.map((node) => node.url), ports, pid, dataDir };
}

function print(rows: readonly Row[]): void {
  if (rows.length === 0) process.stdout.write('nothing is running\n');
  for (const row of rows) {
    const urls = row.nodes.map((node) => node.url).join(',');
    const secrets = [row.username && `${row.username}/${row.password}`, row.token && `token ${row.token}`].filter(
      Boolean,
    );
    process.stdout.write(
      `${[row.name.padEnd(18), row.state.padEnd(8), row.version.padEnd(22), urls, ...secrets].join('  ')}\n`,
    );
  }
}

function printEnvironment(rows: readonly Row[]): void {
  for (const row of rows) {
    const login = row.username ? `${row.username}:${row.password}@` : '';
    const value = row.nodes.map((node) => node.url.replace('://', `://${login}`)).join(',');
    process.stdout.write(`export ${products[row.product].variable}=${value}\n`);
  }
}

async function provision(wanted: readonly Wanted[]): Promise<void> {
  const pool = new ServerPool();
  for (const { name, product, variant } of wanted) {
    const answer = await pool.provision(product, variant);
    tell(name, answer);
  }
}

/** As in a test run: what can't be had is named, and fails where it is required. */
function tell(name: string, answer: { readonly source: string } | { readonly reason: string }): void {
  if ('source' in answer) progress(`${name}: ${answer.source}`);
  else if (process.env['REQUIRE_SERVERS'] === '1') report(name, answer.reason);
  else progress(`${name} can't be had: ${answer.reason}`);
}

/** What tests use beside the registries. */
async function provisionTools(): Promise<void> {
  const prometheus = await providePrometheus();
  tell('prometheus', 'reason' in prometheus ? prometheus : { source: prometheus.prometheus });
  const chromium = await provideChromium();
  tell('chromium', 'reason' in chromium ? chromium : { source: chromium.chromium });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, all: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  const [command, ...names] = positionals;
  const named = names.length > 0 ? names.map(parseName) : undefined;
  const show = (rows: readonly Row[]) =>
    values.json ? process.stdout.write(`${JSON.stringify(rows.map(flat), undefined, 2)}\n`) : print(rows);
  if (command === 'up') show(await up(named ?? allOf(values.all ?? false)));
  else if (command === 'status') show(await status(named ?? allOf(true)));
  else if (command === 'env') printEnvironment(await status(named ?? allOf(false)));
  else if (command === 'down') await down(named);
  else if (command === 'provision') {
    await provision(named ?? allOf(values.all ?? false));
    if (values.all) await provisionTools();
  } else {
    process.stdout.write(`${usage}\n`);
    if (!values.help) process.exitCode = 1;
  }
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
