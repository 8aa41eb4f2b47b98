import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';

const app = join(import.meta.dirname, 'apps/stopping/app.mjs');
const started: StoppingApp[] = [];

afterEach(async () => {
  for (const one of started.splice(0)) await one.remove();
});

/** An app in a process of its own, on a registry of its own. */
class StoppingApp {
  output = '';
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  private constructor(
    readonly process: ChildProcess,
    readonly directory: string,
  ) {
    for (const stream of [process.stdout, process.stderr])
      stream?.on('data', (chunk) => (this.output += String(chunk)));
    this.exited = once(process, 'exit').then(([code, signal]) => ({ code, signal }) as never);
  }

  static async start(scenario: string, env: Readonly<Record<string, string>> = {}): Promise<StoppingApp> {
    const directory = await mkdtemp(join(tmpdir(), 'nsd-stopping-'));
    const child = spawn(process.execPath, [app, scenario, directory], { env: { ...process.env, ...env } });
    const one = new StoppingApp(child, directory);
    started.push(one);
    return one;
  }

  static async registered(scenario: string): Promise<StoppingApp> {
    const one = await StoppingApp.start(scenario);
    await one.says('is registered at local');
    await one.says('LISTENING');
    return one;
  }

  get url(): string {
    return /LISTENING (\S+)/.exec(this.output)?.[1] ?? '';
  }

  async says(text: string): Promise<void> {
    await vi.waitFor(() => expect(this.output).toContain(text), { timeout: 30_000 });
  }

  /** What the registry has of it. */
  async records(): Promise<readonly string[]> {
    const files = await readdir(this.directory, { recursive: true, withFileTypes: true });
    return files.filter((file) => file.isFile() && file.name.endsWith('.json')).map(({ name }) => name);
  }

  async remove(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await this.exited;
    }
    await rm(this.directory, { recursive: true, force: true });
  }
}

function open(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers: { accept: 'text/event-stream' } }, resolve);
    request.on('error', reject);
  });
}

describe('after SIGTERM the process ends by itself, whatever hangs, and the record is gone', () => {
  test('with nothing in its way: status 0', async () => {
    const one = await StoppingApp.registered('none');
    expect(await one.records()).toHaveLength(1);
    one.process.kill('SIGTERM');
    expect(await one.exited).toEqual({ code: 0, signal: null });
    expect(await one.records()).toEqual([]);
    expect(one.output).toContain('LAST HOOK');
  });

  test('an open event stream is closed without a wait: status 0', async () => {
    const one = await StoppingApp.registered('sse');
    const stream = await open(`${one.url}/events`);
    const closed = new Promise((resolve) => stream.on('close', resolve));
    stream.on('error', () => {});
    stream.resume();
    one.process.kill('SIGTERM');
    // The drain's limit is a minute in this app.
    expect(await one.exited).toEqual({ code: 0, signal: null });
    await closed;
  });

  test('a request slower than the drain is cut off: status 0, and a line says so', async () => {
    const one = await StoppingApp.registered('drain');
    get(`${one.url}/slow`).on('error', () => {});
    await one.says('ASKED');
    one.process.kill('SIGTERM');
    expect(await one.exited).toEqual({ code: 0, signal: null });
    expect(one.output).toContain('1 requests or messages were still being answered');
  });

  test.each([
    ['hook-before', 'Hooks.beforeServiceDeregister'],
    ['hook-after', 'Hooks.onServiceDeregistered'],
    ['foreign-hook', 'Hooks.onModuleDestroy'],
  ])('a hook that hangs (%s) is left behind and named: status 1', async (scenario, culprit) => {
    const one = await StoppingApp.registered(scenario);
    one.process.kill('SIGTERM');
    expect(await one.exited).toEqual({ code: 1, signal: null });
    expect(await one.records()).toEqual([]);
    expect(one.output).toContain(`${culprit} has not ended after 300 ms`);
    expect(one.output).toContain('LAST HOOK');
  });

  test('a deadline over all: status 1, the record is gone, and a line names what it waited for', async () => {
    const one = await StoppingApp.registered('deadline');
    get(`${one.url}/slow`).on('error', () => {});
    await one.says('ASKED');
    one.process.kill('SIGTERM');
    expect(await one.exited).toEqual({ code: 1, signal: null });
    expect(await one.records()).toEqual([]);
    expect(one.output).toContain('the shutdown has taken longer than 600 ms, for what is being answered');
  });

  test('another listener of the signal, and something that keeps the process alive: status 0', async () => {
    const one = await StoppingApp.registered('listener');
    one.process.kill('SIGTERM');
    expect(await one.exited).toEqual({ code: 0, signal: null });
    expect(one.output).toMatch(/something keeps the process alive \(.*Timeout/);
  });

  test('a second signal skips the waits', async () => {
    const one = await StoppingApp.registered('hurry');
    one.process.kill('SIGTERM');
    await one.says('was taken out of local');
    await new Promise((resolve) => setTimeout(resolve, 600));
    one.process.kill('SIGINT');
    expect(await one.exited).toEqual({ code: 0, signal: null });
    expect(one.output).toContain('SIGINT again');
  });
});

test('a server that can’t listen leaves nothing open, though nobody closes the app', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  try {
    const one = await StoppingApp.start('none', { PORT: String((taken.address() as AddressInfo).port) });
    await one.says('FAILED');
    expect((await one.exited).code).toBe(0);
    expect(one.output).toContain("the server doesn't listen");
  } finally {
    taken.close();
  }
});
