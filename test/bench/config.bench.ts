import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { changeTimes } from './config/changes.js';
import { median, round } from './statistics.js';

const RUNS = 7;

/** What one process measured: figures by their names. */
type Figures = Readonly<Record<string, number>>;

/**
 * What configuration costs its readers, and an app when it changes or is loaded: medians of processes of their own. And how
 * long a change takes to a reader, beside each product's own client.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const read = await medians('read');
  const first = await medians('first');
  const change = await medians('change');
  const changes = await changeTimes();
  const of = (figures: Figures, name: string): number => figures[name] ?? NaN;
  const result = {
    configValueNs: round(of(read, 'configValueNs')),
    plainNs: round(of(read, 'plainNs')),
    configServiceNs: round(of(read, 'configServiceNs')),
    readVsConfigService: round(of(read, 'configValueNs') / of(read, 'configServiceNs'), 3),
    applyMs: { change: round(of(change, 'tookMs')), first: round(of(first, 'tookMs')) },
    longestStallMs: { change: round(of(change, 'stallMs')), first: round(of(first, 'stallMs')) },
    changeMs: changes,
    changeVsPeer: Object.fromEntries(
      Object.entries(changes).map(([product, { oursMs, peerMs }]) => [product, round(oursMs / peerMs, 2)]),
    ),
  };
  process.stdout.write(
    [
      `a read       @ConfigValue ${result.configValueNs} ns   plain property ${result.plainNs} ns   ConfigService.get ${result.configServiceNs} ns`,
      `one change of 10,000 keys   in force after ${result.applyMs.change} ms   longest stall ${result.longestStallMs.change} ms`,
      `a first load of 40,000      in force after ${result.applyMs.first} ms   longest stall ${result.longestStallMs.first} ms`,
      ...Object.entries(changes).map(
        ([product, { oursMs, peerMs }]) =>
          `from a write to its reader on ${product}   ${oursMs} ms   its own client ${peerMs} ms`,
      ),
      '',
    ].join('\n'),
  );
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function medians(what: string): Promise<Figures> {
  const runs: Figures[] = [];
  for (let i = 0; i < RUNS; i += 1) {
    const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'config/app.mjs'), what]);
    runs.push(JSON.parse(stdout) as Figures);
  }
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(runs.map((figures) => figures[name] ?? NaN))]));
}
