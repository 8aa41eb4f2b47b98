import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ServerPool } from '../servers/pool.js';
import { ENDURING, type EnduringBackend } from './enduring.js';
import { AppProcess } from './fleet.js';

const USAGE = `npm run endurance -- [options]     what an app holds after many watches and many lost connections, on the real servers

  --backend <part>     only backends whose name has this part
  --watches <n>        services that are watched and left       (default 1000)
  --losses <n>         how often all connections are cut        (default 100)
  --json               one line at the end, for programs
`;

/** Views that nobody uses stay open for 30 s. */
const LINGER_MS = 35_000;

/** What is measured first has grown caches and compiled code to their size by then. */
const WARM_UP = 0.2;

/** More than this between the first measurement and the last is a leak, in bytes. */
const MOST_BYTES = 1_500_000;

interface Held {
  readonly heap: number;
  readonly handles: number;
}

/** How one backend stood it. */
interface Row {
  readonly backend: string;
  readonly watches: number;
  readonly losses: number;
  /** What the heap grew by between the warm-up and the end, in bytes. */
  readonly watchBytes: number;
  readonly lossBytes: number;
  readonly handlesBefore: number;
  readonly handlesAfter: number;
  readonly flat: boolean;
}

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: '' },
    watches: { type: 'string', default: '1000' },
    losses: { type: 'string', default: '100' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(USAGE);
else process.exitCode = await main();

async function main(): Promise<number> {
  const pool = new ServerPool();
  const rows: Row[] = [];
  try {
    for (const backend of ENDURING.filter(({ name }) => name.includes(values.backend))) {
      const row = await endure(pool, backend, Number(values.watches), Number(values.losses));
      rows.push(row);
      const { watchBytes, lossBytes, handlesBefore, handlesAfter, flat } = row;
      process.stdout.write(
        `${flat ? 'flat     ' : 'NOT FLAT '} ${row.backend.padEnd(28)} ${row.watches} watches ${kilobytes(watchBytes)}   ${row.losses} lost connections ${kilobytes(lossBytes)}   handles ${handlesBefore} → ${handlesAfter}\n`,
      );
    }
  } finally {
    await pool.end();
  }
  if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`);
  return rows.length > 0 && rows.every(({ flat }) => flat) ? 0 : 1;
}

async function endure(pool: ServerPool, backend: EnduringBackend, watches: number, losses: number): Promise<Row> {
  const started = await backend.start(pool);
  const service = `ENDURES-${process.pid}`;
  const app = await AppProcess.start({
    ...{ role: started.role, backend: started.spec, service, instanceId: 'endures', helper: true },
  });
  const settled = async (): Promise<void> => {
    if (started.role === 'provider') await registered(app, backend.recoveryMs);
  };
  try {
    await settled();
    const early = Math.ceil(watches * WARM_UP);
    await app.ask('watches', { from: 0, to: early });
    const before = await held(app);
    await app.ask('watches', { from: early, to: watches });
    const after = await held(app);
    const lose = async (times: number): Promise<void> => {
      for (let loss = 0; loss < times; loss += 1) {
        await started.lose();
        // Seen: a question that is answered went over a new connection.
        await app.ask('refresh');
      }
    };
    await lose(Math.ceil(losses * WARM_UP));
    await settled();
    const beforeLosses = await held(app);
    await lose(losses - Math.ceil(losses * WARM_UP));
    await settled();
    const afterLosses = await held(app);
    const [watchBytes, lossBytes] = [after.heap - before.heap, afterLosses.heap - beforeLosses.heap];
    return {
      backend: backend.name,
      watches,
      losses,
      watchBytes,
      lossBytes,
      handlesBefore: before.handles,
      handlesAfter: afterLosses.handles,
      flat: Math.max(watchBytes, lossBytes) < MOST_BYTES && afterLosses.handles <= before.handles + 2,
    };
  } finally {
    await app.kill();
    await started.dispose();
  }
}

async function registered(app: AppProcess, recoveryMs: number): Promise<void> {
  const end = performance.now() + recoveryMs;
  while ((await app.ask('state')).phase !== 'registered') {
    if (performance.now() > end) throw new Error(`not registered within ${recoveryMs} ms`);
    await sleep(100);
  }
}

async function held(app: AppProcess): Promise<Held> {
  await sleep(LINGER_MS);
  return app.ask('held');
}

function kilobytes(bytes: number): string {
  return `${bytes < 0 ? '' : '+'}${Math.round(bytes / 1000)} kB`.padStart(9);
}
