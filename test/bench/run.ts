import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** `npm run bench -- <name> [--json]`: runs one benchmark, or lists them. */
const [name, ...flags] = process.argv.slice(2);
const folder = import.meta.dirname;
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.replace('.bench.ts', ''));

if (name === undefined || !names.includes(name)) {
  process.stderr.write(`which benchmark? ${names.join(', ')}\n`);
  process.exitCode = 2;
} else {
  const { run } = (await import(pathToFileURL(join(folder, `${name}.bench.ts`)).href)) as {
    run(options: { readonly json: boolean }): Promise<void>;
  };
  await run({ json: flags.includes('--json') });
}
