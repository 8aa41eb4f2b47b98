import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { endSample } from './end-sample.js';
import { freePortWith } from '../servers/free-port.js';

const root = join(import.meta.dirname, '../..');

interface Order {
  readonly id: string;
  readonly quote: { readonly lane: string; readonly answeredBy: number };
}

describe('the sample of gRPC and TCP', () => {
  const namespace = `e2e-${randomUUID()}`;
  let config = '';
  let output = '';
  let sample: ChildProcess;

  const url = (): string => /http:\/\/\S+/.exec(output)?.[0] ?? '';
  const order = async (headers: Record<string, string> = {}): Promise<Order> => {
    const response = await fetch(`${url()}/orders/7`, { headers });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return (await response.json()) as Order;
  };
  const peers = async (): Promise<readonly { readonly lane: string }[]> =>
    (await (await fetch(`${url()}/peers`)).json()) as { lane: string }[];

  beforeAll(async () => {
    config = await mkdtemp(join(tmpdir(), 'nsd-microservices-'));
    await cp(join(root, 'sample/microservices/config'), config, { recursive: true });
    sample = spawn(process.execPath, ['--import', 'tsx', join(root, 'sample/run.ts'), 'microservices'], {
      cwd: root,
      env: {
        ...process.env,
        PORT: '0',
        ORDERS_PORT: String(await freePortWith([])),
        MICROSERVICES_CONFIG: config,
        MICROSERVICES_NAMESPACE: namespace,
      },
    });
    for (const stream of [sample.stdout, sample.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
    await vi.waitFor(() => expect(output).toContain('Ctrl-C'), { timeout: 120_000 });
    await vi.waitFor(async () => expect(await peers()).toHaveLength(3), { timeout: 30_000 });
  });

  afterAll(async () => {
    await endSample(sample);
    await rm(config, { recursive: true, force: true });
    await rm(join(tmpdir(), `nestjs-service-discovery-${userInfo().uid}`, namespace), { recursive: true, force: true });
  });

  test('a lane, and who a rule puts into it, reach the canary two hops away', async () => {
    await writeFile(
      join(config, 'application.yaml'),
      'lanes:\n  ORDERS:\n    - match: { header: { x-user: alice } }\n      lane: canary\n',
    );
    // Nobody else does, once that is in force.
    await expect
      .poll(
        async () =>
          new Set((await Promise.all(Array.from({ length: 30 }, () => order()))).map(({ quote }) => quote.lane)),
      )
      .toEqual(new Set(['base']));
    for (let n = 0; n < 10; n += 1) {
      expect((await order({ 'x-lane': 'canary' })).quote.lane).toBe('canary');
      expect((await order({ 'x-user': 'alice' })).quote.lane).toBe('canary');
      expect((await order()).quote.lane).toBe('base');
    }
  });

  test('a stock process killed under load fails no request', async () => {
    const victim = Number(/kill -9 (\d+)/.exec(output)?.[1]);
    const answeredBy = new Set<number>();
    const failures: unknown[] = [];
    let calls = 0;
    let isOver = false;
    const loops = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        await order().then(
          ({ quote }) => answeredBy.add(quote.answeredBy),
          (error: unknown) => failures.push(error),
        );
        calls += 1;
      }
    });
    await expect.poll(() => answeredBy.size).toBe(2);
    process.kill(victim, 'SIGKILL');
    await expect.poll(async () => (await peers()).length).toBe(2);
    const before = calls;
    await expect.poll(() => calls).toBeGreaterThan(before + 200);
    isOver = true;
    await Promise.all(loops);
    expect(failures).toEqual([]);
  });

  test('Ctrl-C stops everything', async () => {
    const ended = new Promise((resolve) => sample.once('exit', (code) => resolve(code)));
    sample.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(output).toMatch(/orders \d+ has ended \(0\)/);
    expect(output).toMatch(/canary \d+ has ended \(0\)/);
  });
});
