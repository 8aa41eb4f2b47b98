import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isAlive } from '../cache.js';
import { withServer } from '../for-tests.js';
import type { ServerInfo } from '../types.js';
import { httpGet, waitFor } from '../wait.js';
import { askNatsInfo } from '../wire.js';
import { type Child, isMissing, startFixture, startScript, untilGone } from './children.js';

const put = (url: string, value: string) => httpGet(`${url}/v1/kv/k`, { method: 'PUT', body: value });
const get = async (url: string) => (await httpGet(`${url}/v1/kv/k?raw`)).text;

withServer('consul', { variant: 'server', private: true }, (server) => {
  it('keeps address and data over a kill and a restart, unless told otherwise', async () => {
    const { url, pid } = server;
    await put(url, 'kept');
    await server.stop();
    expect(isAlive(pid ?? 0)).toBe(false);
    await expect(httpGet(url)).rejects.toThrow();
    await server.restart();
    expect(server.url).toBe(url);
    expect(server.pid).not.toBe(pid);
    expect(await get(url)).toBe('kept');
    await server.restart({ keepData: false });
    expect(await get(url)).toBe('');
  });

  it('is silent while paused, and answers after that', async () => {
    server.pause();
    const answer = httpGet(`${server.url}/v1/status/leader`, { signal: AbortSignal.timeout(30_000) });
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200, 'silence'))]);
    expect(first).toBe('silence');
    server.resume();
    expect((await answer).status).toBe(200);
  });

  it('can be stopped while paused', async () => {
    server.pause();
    await server.stop();
    await server.restart();
    expect((await httpGet(`${server.url}/v1/status/leader`)).status).toBe(200);
  });

  it('is reached through a proxy, which can be hurt', async () => {
    const proxy = await server.proxy();
    expect(proxy.url).not.toBe(server.url);
    await put(proxy.url, 'through');
    await proxy.drop();
    await expect(httpGet(proxy.url)).rejects.toThrow();
    expect(await get(server.url)).toBe('through');
    await proxy.heal();
    expect(await get(proxy.url)).toBe('through');
    expect(proxy.counts.total).toBeGreaterThan(0);
  });
});

withServer('consul', { variant: 'dev', private: true }, (server) => {
  it('refuses to keep data that lives in memory', async () => {
    await expect(server.restart({ keepData: true })).rejects.toThrow('nothing to keep');
  });

  it('disposes of process, folder and proxies', async () => {
    await server.restart();
    const { pid, dataDir } = server;
    const proxy = await server.proxy();
    await server.dispose();
    expect(isAlive(pid ?? 0)).toBe(false);
    expect(await isMissing(dirname(dataDir ?? ''))).toBe(true);
    await expect(httpGet(proxy.url)).rejects.toThrow();
  });
});

withServer('nats', { variant: '2.9' }, (shared) => {
  it('lets nobody hurt a shared server', async () => {
    expect(() => shared.pause()).toThrow('ask for a private one');
    await expect(shared.stop()).rejects.toThrow('ask for a private one');
    await expect(shared.restart()).rejects.toThrow('ask for a private one');
    expect((await askNatsInfo(shared.host, shared.port)).version).toBe(shared.version);
  });

  it('is the same for all who share it', async () => {
    const { acquireServer } = await import('../for-tests.js');
    const again = await acquireServer('nats', { variant: '2.9' });
    expect(again.available && again.server.url).toBe(shared.url);
  });

  describe('when the owner ends', () => {
    let owner: Child | undefined;
    afterEach(() => owner?.kill('SIGKILL'));

    it.each([
      ['by SIGKILL', []],
      ['by SIGKILL with the server paused', ['pause']],
    ] as const)('%s, nothing is left', async (_, args) => {
      owner = startScript('./fixtures/owner.ts', args);
      const server = JSON.parse(await owner.firstLine) as ServerInfo;
      expect(isAlive(server.nodes[0]?.pid ?? 0)).toBe(true);
      owner.kill('SIGKILL');
      await untilGone(server);
    });

    it('by itself, which a running server does not prevent, nothing is left', async () => {
      owner = startScript('./fixtures/owner.ts', ['forget']);
      const server = JSON.parse(await owner.firstLine) as ServerInfo;
      expect(await owner.exited).toBe(0);
      await untilGone(server);
    });

    it('as a vitest run that is killed in the middle, neither shared nor private servers are left', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'nsd-killed-run-'));
      try {
        const output = join(folder, 'servers.json');
        owner = startFixture('hanging', { FIXTURE_OUTPUT: output });
        const text = await waitFor(async () => (await readFile(output, 'utf8').catch(() => '')) || undefined, {
          what: `the run is in its test: ${owner.output()}`,
          timeoutMs: 30_000,
        });
        const servers = JSON.parse(text) as ServerInfo[];
        expect(servers).toHaveLength(2);
        owner.kill('SIGKILL');
        for (const server of servers) await untilGone(server);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  });

  describe('the command', () => {
    let folder: string;
    beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'nsd-cli-test-'))));
    afterEach(async () => {
      await command('down');
      await rm(folder, { recursive: true });
    });

    // A temporary folder of its own, so that servers which a developer has up stay untouched.
    async function command(...args: string[]): Promise<{ code: number | null; output: string }> {
      const child = startScript('../cli.ts', args, { TMPDIR: folder, NATS_URL: '' });
      return { code: await child.exited, output: child.output() };
    }

    const rows = (output: string) =>
      JSON.parse(output.slice(output.search(/^\[$/m))) as (ServerInfo & { pid: number; url: string })[];

    it('leaves servers running, finds them again, and ends them without a trace', async () => {
      const up = await command('up', 'nats:2.9', '--json');
      expect(up.code, up.output).toBe(0);
      const [server] = rows(up.output);
      expect(server).toMatchObject({ name: 'nats:2.9', state: 'up', version: shared.version });
      expect(isAlive(server?.pid ?? 0)).toBe(true);
      const again = await command('up', 'nats:2.9', '--json');
      expect(rows(again.output)[0]?.pid).toBe(server?.pid);
      expect((await command('status')).output).toContain(server?.url);
      expect((await command('env', 'nats:2.9')).output).toContain(`export NATS_URL=${server?.url}`);
      expect((await command('down')).code).toBe(0);
      expect(isAlive(server?.pid ?? 0)).toBe(false);
      // The loader of TypeScript keeps its own cache there.
      expect((await readdir(folder)).filter((name) => !name.startsWith('tsx-'))).toEqual([]);
      expect((await command('status')).output).toContain('nothing is running');
    });

    it('says which names there are when it does not know one', async () => {
      const { code, output } = await command('up', 'etcd');
      expect(code).toBe(1);
      expect(output).toContain('unknown server etcd');
      expect(output).toContain('consul:acl');
    });
  });
});
