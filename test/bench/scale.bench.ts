import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { ServerPool } from '../servers/pool.js';
import { instanceOf, ROWS, type Filler, type ScaleRow } from './scale/rows.js';
import { median, round } from './statistics.js';

const INSTANCES = 10_000;
const SERVICES = 1000;
const CHANGES = 10;

/**
 * What an app pays for a service of ten thousand instances (the first list, one change), and for using a thousand
 * services, on each real server: in a process of its own, while the servers run beside it.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const result: Record<string, Awaited<ReturnType<typeof measured>>> = {};
  const only = process.env['BENCH_BACKEND'];
  for (const row of ROWS) {
    if (only !== undefined && row.name !== only) continue;
    const pool = new ServerPool();
    try {
      const figures = await measured(pool, row);
      result[row.name] = figures;
      const { load, change, services } = figures;
      process.stdout.write(
        [
          row.name,
          `  ${INSTANCES} instances   first list ${load.ms} ms, ${load.cpuMs} ms of CPU   longest stall ${load.stallMs} ms   ${load.bytesEach} bytes an instance`,
          `  one change         ${change.ms} ms until it is there, ${change.cpuMs} ms of CPU`,
          `  ${SERVICES} services     all known after ${services.ms} ms, ${services.cpuMs} ms of CPU   ${services.sockets} sockets   ${services.bytesEach} bytes a service   at rest ${services.restCpuMsPerSecond} ms of CPU a second`,
          '',
        ].join('\n'),
      );
    } finally {
      await pool.end();
    }
  }
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function measured(pool: ServerPool, row: ScaleRow) {
  const acquired = await pool.start(row.product, row.variant, row.settings);
  if (!acquired.available) throw new Error(`no ${row.product}: ${acquired.reason}`);
  const { server } = acquired;
  const filler = await row.filler(server);
  try {
    const big = Array.from({ length: INSTANCES }, (_, number) => instanceOf('BIG', number, 0));
    await filler.put(big);
    const names = Array.from({ length: SERVICES }, (_, number) => `SERVICE-${number}`);
    const apps = [new App(row.spec(server)), new App(row.spec(server))] as const;
    try {
      const load = rounded(await apps[0].ask<Load>('load', { service: 'BIG', instances: INSTANCES }));
      const change = await changes(apps[0], filler);
      apps[0].end();
      await filler.put(names.map((name, number) => instanceOf(name, number, 0)));
      const services = rounded(await apps[1].ask<Services>('use', { services: names }));
      return { load, change, services };
    } finally {
      for (const app of apps) app.end();
    }
  } finally {
    await filler.close();
  }
}

async function changes(app: App, filler: Filler): Promise<{ readonly ms: number; readonly cpuMs: number }> {
  const times: number[] = [];
  const used: number[] = [];
  for (let number = 1; number <= CHANGES; number += 1) {
    const before = await app.ask<number>('cpu');
    const next = app.ask('next');
    const began = performance.now();
    await filler.put([instanceOf('BIG', number * 97, 1)]);
    await next;
    times.push(performance.now() - began);
    used.push((await app.ask<number>('cpu')) - before);
  }
  return { ms: round(median(times)), cpuMs: round(median(used), 2) };
}

interface Load {
  readonly ms: number;
  readonly cpuMs: number;
  readonly stallMs: number;
  readonly bytesEach: number;
}

interface Services {
  readonly ms: number;
  readonly cpuMs: number;
  readonly sockets: number;
  readonly bytesEach: number;
  readonly restCpuMsPerSecond: number;
}

function rounded<T extends object>(figures: T): T {
  const entries = Object.entries(figures) as [string, number][];
  return Object.fromEntries(entries.map(([name, value]) => [name, round(value)])) as T;
}

/** The app that is measured. */
class App {
  private readonly child: ChildProcess;
  private readonly started: Promise<void>;
  private next = 0;

  constructor(spec: object) {
    const script = join(import.meta.dirname, 'scale/app.mjs');
    this.child = fork(script, [JSON.stringify(spec)], { execArgv: ['--expose-gc'] });
    this.started = new Promise((resolve, reject) => {
      this.child.once('message', () => resolve());
      this.child.once('exit', (code) => reject(new Error(`the app has ended with ${code}`)));
    });
    this.started.catch(() => {});
  }

  async ask<T>(ask: string, more: object = {}): Promise<T> {
    await this.started;
    const id = (this.next += 1);
    return new Promise((resolve, reject) => {
      const hear = (message: { readonly id?: number; readonly answer?: T; readonly error?: string }): void => {
        if (message.id !== id) return;
        this.child.off('message', hear);
        if (message.error === undefined) resolve(message.answer as T);
        else reject(new Error(message.error));
      };
      this.child.on('message', hear);
      this.child.send({ id, ask, ...more });
    });
  }

  end(): void {
    this.child.kill();
  }
}
