import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median, round } from './statistics.js';

const RUNS = 15;
const KINDS = ['bare', 'discovery'] as const;

interface Start {
  readonly importMs: number;
  readonly startMs: number;
}

/** What the module adds to the start of a bare Nest app that has axios: medians of processes started in turn. */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'nsd-bench-'));
  const starts: Record<(typeof KINDS)[number], Start[]> = { bare: [], discovery: [] };
  try {
    for (let i = 0; i <= RUNS; i += 1) {
      for (const kind of KINDS) {
        const script = join(import.meta.dirname, 'startup/app.mjs');
        const { stdout } = await promisify(execFile)(process.execPath, [script, kind, join(directory, 'registry')]);
        // The first one fills the file system's cache.
        if (i > 0) starts[kind].push(JSON.parse(stdout) as Start);
      }
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const medians = (field: keyof Start) => ({
    bare: round(median(starts.bare.map((start) => start[field]))),
    withModule: round(median(starts.discovery.map((start) => start[field]))),
  });
  const result = { importMs: medians('importMs'), startMs: medians('startMs') };
  for (const [field, { bare, withModule }] of Object.entries(result)) {
    const added = round(withModule - bare);
    process.stdout.write(`${field.padEnd(9)} bare ${bare}   with the module ${withModule}   (+${added} ms)\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}
