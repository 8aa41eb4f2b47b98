import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BACKENDS } from './backends.js';
import { FAULTS } from './faults.js';
import { endServers, tryFaults, type Cell } from './suite.js';

const USAGE = `npm run faults -- [options]     every fault on every backend, on the real servers

  --quick              the half that npm cit runs, with shorter faults
  --backend <part>     only backends whose name has this part
  --fault <part>       only faults whose name has this part
  --seconds <n>        how long a fault lasts    (default 30, quick 5)
  --at-once <n>        backends that are tried at the same time   (default 4)
  --json               one line at the end, for programs
  --write              write the table into docs/reliability.md
`;

const PAGE = join(import.meta.dirname, '../../docs/reliability.md');

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    backend: { type: 'string', default: '' },
    fault: { type: 'string', default: '' },
    seconds: { type: 'string' },
    'at-once': { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(USAGE);
} else {
  process.exitCode = await main();
}

async function main(): Promise<number> {
  const { quick, json, write } = values;
  const backends = BACKENDS.filter((one) => one.name.includes(values.backend) && (one.quick || !quick));
  const faults = FAULTS.filter((one) => one.name.includes(values.fault) && (one.quick || !quick));
  const lastsMs = Number(values.seconds ?? (quick ? 5 : 30)) * 1000;
  const cells: Cell[] = [];
  const queue = [...backends];
  const work = async (): Promise<void> => {
    for (let backend = queue.shift(); backend !== undefined; backend = queue.shift()) {
      await tryFaults(backend, faults, {
        lastsMs,
        quick,
        onCell: (cell) => {
          cells.push(cell);
          process.stderr.write(`${lineOf(cell)}\n`);
        },
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: Number(values['at-once']) }, work));
  } finally {
    await endServers();
  }
  const table = tableOf(
    cells,
    faults.map(({ name }) => name),
    backends.map(({ name }) => name),
  );
  if (write) await writeTable(table, cells);
  if (!json) process.stdout.write(`${table}\n`);
  process.stdout.write(`${JSON.stringify(summaryOf(cells))}\n`);
  return cells.every(({ held }) => held) && cells.length > 0 ? 0 : 1;
}

function lineOf({ backend, fault, held, calls, failedCalls, recoveryMs, note }: Cell): string {
  const facts = `${calls} calls, ${failedCalls} failed, well after ${(recoveryMs / 1000).toFixed(1)} s`;
  return `${held ? 'held' : 'NOT HELD'}  ${backend}: ${fault}: ${facts}${note === undefined ? '' : ` (${note})`}`;
}

function summaryOf(cells: readonly Cell[]) {
  const worstRecoveryMs: Record<string, number> = {};
  for (const { backend, recoveryMs } of cells)
    worstRecoveryMs[backend] = Math.max(worstRecoveryMs[backend] ?? 0, recoveryMs);
  return {
    cells: cells.length,
    held: cells.filter(({ held }) => held).length,
    calls: cells.reduce((sum, { calls }) => sum + calls, 0),
    failedCalls: cells.reduce((sum, { failedCalls }) => sum + failedCalls, 0),
    worstRecoveryMs,
  };
}

function tableOf(cells: readonly Cell[], faults: readonly string[], backends: readonly string[]): string {
  const rows = faults.map((fault) => {
    const columns = backends.map((backend) => {
      const cell = cells.find((one) => one.backend === backend && one.fault === fault);
      if (cell === undefined) return '';
      const failed = cell.failedCalls === 0 ? '0' : `**${cell.failedCalls}**`;
      return `${failed} of ${cell.calls}, ${(cell.recoveryMs / 1000).toFixed(1)} s${cell.held ? '' : ' ✗'}`;
    });
    return `| ${[fault, ...columns].join(' | ')} |`;
  });
  const heading = `| ${['fault', ...backends].join(' | ')} |`;
  return [heading, `|${' --- |'.repeat(backends.length + 1)}`, ...rows].join('\n');
}

async function writeTable(table: string, cells: readonly Cell[]): Promise<void> {
  const page = await readFile(PAGE, 'utf8');
  const stated = cells
    .filter(({ failedCalls }) => failedCalls > 0)
    .map(({ backend, fault, failedCalls, note }) => `- ${backend}, ${fault}: ${failedCalls} failed; ${note ?? ''}`);
  const text = ['<!-- faults -->', '', table, '', ...stated, '', '<!-- end of faults -->'].join('\n');
  await writeFile(PAGE, page.replace(/<!-- faults -->.*<!-- end of faults -->/s, text));
}
