import { execFile } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What every benchmark printed, in every run of it. */
export interface Recording {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  /** The machine's load when it began: what else it had to do. */
  readonly load: number;
  readonly at: string;
  /** By benchmark; those that failed have no figures. */
  readonly results: Readonly<Record<string, readonly Figures[]>>;
}

/** What one run of a benchmark measured, by dotted names. */
export type Figures = Readonly<Record<string, number>>;

/** Runs benchmarks one after the other, each in processes of its own, so many times. */
export async function runAll(
  names: readonly string[],
  times: number,
  told: (line: string) => void,
): Promise<Recording> {
  const results: Record<string, Figures[]> = {};
  const load = loadavg()[0] ?? NaN;
  for (const name of names) {
    for (let run = 1; run <= times; run += 1) {
      told(`${name}, ${run} of ${times}`);
      try {
        (results[name] ??= []).push(await figuresOf(name));
      } catch (error) {
        told(`${name} failed: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`);
      }
    }
  }
  const [first] = cpus();
  return {
    node: process.version,
    cpu: first?.model ?? 'unknown',
    cores: cpus().length,
    load: Number(load.toFixed(2)),
    at: new Date().toISOString(),
    results,
  };
}

async function figuresOf(name: string): Promise<Figures> {
  const script = join(import.meta.dirname, 'run.ts');
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script, name, '--json'], {
    maxBuffer: 1e8,
    timeout: 900_000,
  });
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  return Object.fromEntries(flattened('', JSON.parse(last) as unknown));
}

/** The numbers in an object, by their paths. */
export function flattened(path: string, value: unknown): readonly (readonly [string, number])[] {
  if (typeof value === 'number' && Number.isFinite(value)) return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, below]) => flattened(path === '' ? name : `${path}.${name}`, below));
}
