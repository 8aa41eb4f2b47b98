import { spawn, type ChildProcess } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request, Agent } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { endSample } from './end-sample.js';

const root = join(import.meta.dirname, '../..');
const sample = join(root, 'sample/quickstart');

interface Quote {
  readonly greeting: string;
  readonly stock: { readonly limit: number; readonly answeredBy: number };
}

/** The quickstart as `npm start` starts it, with a configuration and a namespace of its own. */
class Quickstart {
  output = '';
  private constructor(
    readonly process: ChildProcess,
    readonly config: string,
    readonly namespace: string,
  ) {
    for (const stream of [process.stdout, process.stderr])
      stream?.on('data', (chunk) => (this.output += String(chunk)));
  }

  static async start(): Promise<Quickstart> {
    const config = await mkdtemp(join(tmpdir(), 'nsd-quickstart-'));
    await cp(join(sample, 'config'), config, { recursive: true });
    const namespace = `e2e-${randomUUID()}`;
    const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'sample/run.ts')], {
      cwd: root,
      env: { ...process.env, PORT: '0', QUICKSTART_CONFIG: config, QUICKSTART_NAMESPACE: namespace },
    });
    const quickstart = new Quickstart(child, config, namespace);
    try {
      await vi.waitFor(() => expect(quickstart.output).toContain('Ctrl-C'), { timeout: 120_000 });
    } catch (error) {
      await quickstart.remove();
      throw error;
    }
    return quickstart;
  }

  get url(): string {
    return /http:\/\/\S+/.exec(this.output)?.[0] ?? '';
  }

  /** The process that the output says to kill. */
  get victim(): number {
    return Number(/kill -9 (\d+)/.exec(this.output)?.[1]);
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.url + path);
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  peers(): Promise<readonly { readonly url: string }[]> {
    return this.get('/peers');
  }

  /** The processes whose records lie in the namespace. */
  async records(): Promise<readonly number[]> {
    const folder = join(tmpdir(), `nestjs-service-discovery-${userInfo().uid}`, this.namespace, 'registry');
    const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.json'));
    const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    return texts.map((text) => (JSON.parse(text) as { process: { pid: number } }).process.pid);
  }

  async remove(): Promise<void> {
    await endSample(this.process);
    await rm(this.config, { recursive: true, force: true });
    await rm(join(tmpdir(), `nestjs-service-discovery-${userInfo().uid}`, this.namespace), {
      recursive: true,
      force: true,
    });
  }
}

/** Calls the gateway from many connections at once until it is told to stop. */
class Load {
  readonly failures: string[] = [];
  readonly answeredBy = new Map<number, number>();
  calls = 0;
  private stopped = false;
  private readonly agent = new Agent({ keepAlive: true });
  private readonly loops: readonly Promise<void>[];

  constructor(
    private readonly url: string,
    connections: number,
  ) {
    this.loops = Array.from({ length: connections }, async () => {
      while (!this.stopped) await this.call();
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.loops);
    this.agent.destroy();
  }

  private call(): Promise<void> {
    return new Promise((resolve) => {
      const outgoing = request(this.url, { agent: this.agent }, (response) => {
        let body = '';
        response.on('data', (chunk) => (body += String(chunk)));
        response.once('end', () => {
          this.calls += 1;
          if (response.statusCode === 200) {
            const { answeredBy } = (JSON.parse(body) as Quote).stock;
            this.answeredBy.set(answeredBy, (this.answeredBy.get(answeredBy) ?? 0) + 1);
          } else this.failures.push(`${response.statusCode} ${body}`);
          resolve();
        });
      });
      outgoing.once('error', (error) => {
        this.failures.push(error.message);
        resolve();
      });
      outgoing.end();
    });
  }
}

describe('the quickstart', () => {
  let quickstart: Quickstart;

  beforeAll(async () => {
    quickstart = await Quickstart.start();
    await vi.waitFor(async () => expect(await quickstart.peers()).toHaveLength(2), { timeout: 15_000 });
  });

  afterAll(async () => {
    await quickstart?.remove();
  });

  test('has the page of the operator, and says where', async () => {
    expect(quickstart.output).toContain(`${quickstart.url}/discovery `);
    const page = await fetch(`${quickstart.url}/discovery`);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const services = await quickstart.get<{ services: { service: string; routable: number }[] }>('/discovery/services');
    expect(services.services).toMatchObject([{ service: 'STOCK', routable: 2 }]);
  });

  test('the gateway calls both stock processes', async () => {
    const load = new Load(quickstart.url, 4);
    await expect.poll(() => load.answeredBy.size).toBe(2);
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  test('configuration is live in every process', async () => {
    await writeFile(join(quickstart.config, 'application.yaml'), 'greeting: Changed\nstock:\n  limit: 7\n');
    await expect.poll(async () => (await quickstart.get<Quote>('/')).greeting).toBe('Changed');
    await expect
      .poll(async () => {
        const quotes = await Promise.all([1, 2, 3, 4].map(() => quickstart.get<Quote>('/')));
        return new Set(quotes.map(({ stock }) => stock.limit));
      })
      .toEqual(new Set([7]));
    // A file that is broken for a moment changes nothing but the health checks' answer, which is no failure.
    const health = async () => (await quickstart.get<{ status: string }>('/health/ready')).status;
    expect(await health()).toBe('ok');
    await writeFile(join(quickstart.config, 'application.yaml'), 'greeting: [');
    expect((await quickstart.get<Quote>('/')).greeting).toBe('Changed');
    await expect.poll(health).toBe('degraded');
  });

  test('a stock process killed under load fails no request, and is gone from the list', async () => {
    const load = new Load(quickstart.url, 16);
    await expect.poll(() => load.answeredBy.size).toBe(2);
    process.kill(quickstart.victim, 'SIGKILL');
    await expect.poll(async () => (await quickstart.peers()).length).toBe(1);
    const before = load.calls;
    await expect.poll(() => load.calls).toBeGreaterThan(before + 200);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.calls).toBeGreaterThan(200);
  });

  test('Ctrl-C stops everything, deregistered', async () => {
    const { victim } = quickstart;
    // What was killed has left its record behind, which nobody believes and somebody will sweep away.
    expect((await quickstart.records()).filter((pid) => pid !== victim)).toHaveLength(2);
    const ended = new Promise((resolve) => quickstart.process.once('exit', (code) => resolve(code)));
    quickstart.process.kill('SIGINT');
    expect(await ended).toBe(0);
    expect((await quickstart.records()).filter((pid) => pid !== victim)).toEqual([]);
    expect(quickstart.output).toMatch(/gateway \d+ has ended \(0\)/);
  });
});
