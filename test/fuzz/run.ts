import { parseArgs } from 'node:util';
import { fuzz, type Find } from './fuzz.js';
import { TARGETS } from './targets.js';

const USAGE = `npm run fuzz -- [options]     gives everything that reads hostile input

  --minutes <n>    how long            (default 1)
  --seed <n>       where to begin      (default the time)
  --target <part>  only those whose name has this part
`;

const RUNS = 500;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    target: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(USAGE);
else process.exitCode = await main();

async function main(): Promise<number> {
  const targets = TARGETS.filter(({ name }) => name.toLowerCase().includes(values.target.toLowerCase()));
  const end = performance.now() + Number(values.minutes) * 60_000;
  const finds = new Map<string, Find>();
  let inputs = 0;
  let seed = Number(values.seed);
  process.stdout.write(`${targets.length} targets, from seed ${seed}\n`);
  for (; performance.now() < end; seed += 1) {
    for (const target of targets) {
      if (finds.has(target.name) || performance.now() > end) continue;
      const find = await fuzz(target, seed, RUNS);
      inputs += RUNS;
      if (find === undefined) continue;
      finds.set(target.name, find);
      process.stdout.write(
        `${find.target}: ${find.problem}\n  seed ${find.seed}, path ${find.path}, input ${find.input}\n`,
      );
    }
  }
  process.stdout.write(`${inputs} inputs, up to seed ${seed - 1}: ${finds.size} finds\n`);
  return finds.size === 0 ? 0 : 1;
}
