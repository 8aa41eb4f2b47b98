import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { runAll, type Recording } from './all.js';
import { compare, comparisonText } from './compare.js';

const USAGE = `npm run bench -- <name> [--json]             one benchmark
npm run bench -- all [names] [--runs N]      all of them, or some; JSON on the output, for a file
npm run bench -- compare <file> <file>       what got better or worse beyond the noise; exit code 1 if anything got worse`;

const folder = import.meta.dirname;
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.replace('.bench.ts', ''));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, runs: { type: 'string', default: '3' } },
});
const [name, ...rest] = positionals;

if (name === 'all' && rest.every((one) => names.includes(one)) && /^[1-9]\d?$/.test(values.runs)) {
  const told = (line: string): void => void process.stderr.write(`${line}\n`);
  const recording = await runAll(rest.length === 0 ? names : rest, Number(values.runs), told);
  process.stdout.write(`${JSON.stringify(recording, undefined, 1)}\n`);
} else if (name === 'compare' && rest.length === 2) {
  const [before, after] = rest.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Recording) as [
    Recording,
    Recording,
  ];
  const comparisons = compare(before, after);
  process.stdout.write(`${comparisonText(comparisons)}\n`);
  if (comparisons.some(({ verdict }) => verdict === 'worse')) process.exitCode = 1;
} else if (name !== undefined && names.includes(name)) {
  const { run } = (await import(pathToFileURL(join(folder, `${name}.bench.ts`)).href)) as {
    run(options: { readonly json: boolean }): Promise<void>;
  };
  await run({ json: values.json });
} else {
  process.stderr.write(`${USAGE}\n\nbenchmarks: ${names.join(', ')}\n`);
  process.exitCode = 2;
}
