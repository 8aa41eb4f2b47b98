import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test, vi, type TestContext } from 'vitest';
import { standIn, withServer } from '../servers/for-tests.js';
import type { RunningServer } from '../servers/types.js';
import { provideSpringProgram } from '../wings/spring-peer.js';

/**
 * Every sample as its README says to run it, against the real servers: what its hints say to look at answers so, and
 * Ctrl-C ends all of it. `quickstart` and `microservices` have files of their own, and so is `nest build` tried there.
 */
const root = join(import.meta.dirname, '../..');

/** What `nest build` does, without looking at the types: that is the lint's, of all samples at once. */
function build(sample: string): void {
  const source = join(root, 'sample', sample, 'src');
  const target = join(root, 'sample', sample, 'dist');
  rmSync(target, { recursive: true, force: true });
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const file = join(target, name.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(file), { recursive: true });
    const { outputText } = ts.transpileModule(readFileSync(join(source, name), 'utf8'), {
      fileName: join(source, name),
      compilerOptions: {
        ...options,
        module: ts.ModuleKind.ES2022,
        noEmit: false,
        declaration: false,
        sourceMap: false,
      },
    });
    writeFileSync(file, outputText);
  }
}

/** A sample that runs. */
class Sample {
  output = '';
  private readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;

  constructor(
    private readonly name: string,
    { onTestFailed, onTestFinished }: TestContext,
    environment: Readonly<Record<string, string>> = {},
  ) {
    build(name);
    this.child = spawn(process.execPath, ['--import', 'tsx', join(root, 'sample/run.ts'), name, '--built'], {
      cwd: root,
      env: { ...process.env, PORT: '0', ...environment },
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk) => (this.output += String(chunk)));
    // Not at its exit: some of what it said may still be under way then.
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
    onTestFailed(() => void process.stderr.write(`${name} said:\n${this.output}\n`));
    // Not SIGKILL: its children would be left.
    onTestFinished(async () => {
      this.child.kill('SIGTERM');
      await this.ended;
    });
  }

  /** When it has told what to try; fails at once when a process of it ends before. */
  async ready(): Promise<this> {
    const told = new Promise<void>((resolve) => {
      const look = () => void (/Ctrl-C|has ended \(/.test(this.output) && resolve());
      for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', look);
      look();
    });
    await Promise.race([told, this.ended]);
    if (!this.output.includes('Ctrl-C')) throw new Error(`${this.name} did not come up:\n${this.output}`);
    return this;
  }

  get url(): string {
    return /http:\/\/127\.0\.0\.1:\d+/.exec(this.output)?.[0] ?? '';
  }

  /** The process that the output says to kill. */
  get victim(): number {
    return Number(/kill -9 (\d+)/.exec(this.output)?.[1]);
  }

  async get(path = ''): Promise<unknown> {
    const response = await fetch(this.url + path);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Calls until two processes have answered. */
  async answeredByBoth(path: string, answeredBy: (answer: never) => unknown): Promise<void> {
    const both = new Set<unknown>();
    await vi.waitFor(
      async () => {
        both.add(answeredBy((await this.get(path)) as never));
        expect(both.size).toBe(2);
      },
      { timeout: 30_000, interval: 20 },
    );
  }

  /** Ctrl-C: each of its apps ends by itself. */
  async stop(apps: number): Promise<void> {
    this.child.kill('SIGINT');
    expect(await this.ended, this.output).toBe(0);
    expect(this.output.match(/\d+ has ended \(0\)/g), this.output).toHaveLength(apps);
  }

  /** Resolves when it has ended by itself. */
  async over(): Promise<void> {
    expect(await this.ended, this.output).toBe(0);
  }
}

/** The server's address with its login, as `npm run servers -- env` gives it. */
function addressOf({ url, username, password }: RunningServer): string {
  if (username === undefined) return url;
  const withLogin = new URL(url);
  [withLogin.username, withLogin.password] = [username, password ?? ''];
  return withLogin.href;
}

interface Offer {
  readonly greeting?: string;
  readonly stock: { readonly answeredBy: number };
}
const whoAnswered = ({ stock }: Offer): unknown => stock.answeredBy;

describe.concurrent('beside each other', () => {
  test('gateway', async (context) => {
    const sample = await new Sample('gateway', context).ready();
    expect(await sample.get('/peers')).toHaveLength(2);
    // By the locator's route, and by the file's.
    expect(await sample.get('/stock/quote/tea')).toMatchObject({ item: 'tea' });
    expect(await sample.get('/quotes/tea')).toMatchObject({ item: 'tea' });
    expect(await sample.get('/api/orders/7')).toMatchObject({ id: '7' });
    // What is not included stays inside.
    await expect(sample.get('/orders/orders/7')).rejects.toThrow('404');
    await sample.stop(4);
  });

  withServer('consul', {}, (consul) => {
    // Both of these register `stock` at the same agent.
    test.sequential('consul', async (context) => {
      const greeting = `${consul.url}/v1/kv/config/application/greeting`;
      context.onTestFinished(() => void fetch(greeting, { method: 'DELETE' }));
      const sample = await new Sample('consul', context, { CONSUL_URL: consul.url }).ready();
      expect(await sample.get()).toMatchObject({
        greeting: 'Hello from Consul',
        stock: { item: 'tea', openingHours: { from: 8, to: 20 } },
      });
      await sample.answeredByBoth('', whoAnswered);
      // It is live, by the command of the hints.
      await fetch(greeting, { method: 'PUT', body: 'Good evening' });
      const greets = async () => expect(((await sample.get()) as Offer).greeting).toBe('Good evening');
      await vi.waitFor(greets, { timeout: 30_000 });
      await sample.stop(3);
    });

    test.sequential('dns', async (context) => {
      const environment = { CONSUL_URL: consul.url, CONSUL_DNS: `127.0.0.1:${consul.ports['dns']}` };
      const sample = await new Sample('dns', context, environment).ready();
      expect(await sample.get('/peers')).toHaveLength(2);
      await sample.answeredByBoth('', ({ answeredBy }: Offer['stock']) => answeredBy);
      await sample.stop(3);
    });
  });

  withServer('nats', {}, (nats) => {
    test('nats', async (context) => {
      const NATS_SAMPLE = `sample-${randomUUID()}`;
      const sample = await new Sample('nats', context, { NATS_URL: nats.url, NATS_SAMPLE }).ready();
      await sample.answeredByBoth('', ({ stock }: { stock: { from: number } }) => stock.from);
      // The same processes over NATS, and the error answer that the hints speak of.
      expect(await sample.get('/price/21')).toBeDefined();
      await expect(sample.get('/price/101')).rejects.toThrow(/: 4\d\d /);
      await sample.stop(3);
    });
  });

  withServer('zookeeper', {}, (zookeeper) => {
    test('zookeeper', async (context) => {
      const environment = { ASAB_ZOOKEEPER_SERVERS: zookeeper.url, SAMPLE_PATH: `sample-${randomUUID()}` };
      const sample = await new Sample('zookeeper', context, environment).ready();
      await sample.answeredByBoth('', ({ answeredBy }: Offer['stock']) => answeredBy);
      expect(await sample.get('/reserve')).toBeDefined();
      expect(await sample.get('/peers')).toHaveLength(2);
      expect(await sample.get('/locate/service_id/stock')).toHaveLength(2);
      await sample.stop(3);
    });
  });

  withServer('nacos', {}, (nacos) => {
    test('nacos', async (context) => {
      const sample = await new Sample('nacos', context, { NACOS_URL: addressOf(nacos) }).ready();
      expect(await sample.get('/peers')).toHaveLength(2);
      expect(await sample.get()).toMatchObject({ stock: { item: 'tea', limit: 10 } });
      await sample.answeredByBoth('', whoAnswered);
      await sample.stop(3);
    });
  });

  withServer('eureka', {}, (eureka) => {
    test('eureka', async (context) => {
      const sample = await new Sample('eureka', context, { EUREKA_URL: eureka.url }).ready();
      // Eureka is read every second.
      const isOpen = async () =>
        expect(await sample.get()).toMatchObject({ shop: 'open', stock: { openingHours: { from: 8, to: 20 } } });
      await vi.waitFor(isOpen, { timeout: 30_000, interval: 100 });
      await sample.answeredByBoth('', whoAnswered);
      await sample.stop(3);
    });

    describe('and a Spring service', async () => {
      const program = await provideSpringProgram('sample-spring', join(root, 'sample/spring/spring-prices'));
      if ('reason' in program) {
        standIn('sample-spring', program.reason, 'Spring service');
        return;
      }
      test('spring: one request from Nest to Spring and from there to Nest', async (context) => {
        const environment = { EUREKA_URL: eureka.url, SPRING_JAR: program.jar };
        const sample = await new Sample('spring', context, environment).ready();
        // Spring reads the registry every second.
        await vi.waitFor(() => sample.get('/offers/tea'), { timeout: 150_000, interval: 200 });
        expect(await sample.get('/offers/tea')).toEqual({
          ...{ item: 'tea', price: 3, pricedBy: 'Spring' },
          stock: { left: 12, answeredBy: expect.stringMatching(/^Node \d+$/) as string },
        });
        await sample.answeredByBoth('/offers/tea', whoAnswered);
        // The hint: Spring still knows the one that was killed, and tries the other.
        process.kill(sample.victim, 'SIGKILL');
        for (let call = 0; call < 20; call += 1) await sample.get('/offers/tea');
        await sample.stop(2);
      });
    });

    withServer('nacos', {}, (nacos) => {
      test('migration: from Eureka to Nacos, and no call fails', async (context) => {
        const environment = { EUREKA_URL: eureka.url, NACOS_URL: addressOf(nacos) };
        const sample = new Sample('migration', context, environment);
        await sample.over();
        const steps = [...sample.output.matchAll(/^(.+): (\d+) calls so far, (\d+) failed$/gm)];
        expect(
          steps.map(([, step, , failed]) => [step, failed]),
          sample.output,
        ).toEqual([
          ['Eureka, then Nacos', '0'],
          ['Nacos, then Eureka', '0'],
          ['Nacos; Eureka unread', '0'],
          ['only Nacos', '0'],
        ]);
        const counts = steps.map(([, , calls]) => Number(calls));
        expect(counts).toEqual(counts.toSorted((a, b) => a - b));
        expect(counts[0]).toBeGreaterThan(0);
        expect(sample.output).toMatch(/^calls [1-9]\d*, failed 0$/m);
        expect(sample.output).toMatch(/left in Eureka: 0$/m);
      });
    });
  });
});
