import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withServer } from '../for-tests.js';
import { startFixture } from './children.js';

describe('a suite whose server cannot be had', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nsd-availability-'));
    await mkdir(join(folder, 'bin'));
    await symlink(process.execPath, join(folder, 'bin', 'node'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** A run on a machine without Go and with nothing in the cache. */
  async function runWithout(env: Record<string, string> = {}): Promise<{ code: number | null; output: string }> {
    const bare = {
      PATH: join(folder, 'bin'),
      NSD_SERVER_CACHE: join(folder, 'cache'),
      NATS_URL: '',
      REQUIRE_SERVERS: '',
    };
    const child = startFixture('needy', { ...bare, ...env });
    return { code: await child.exited, output: child.output() };
  }

  it('is skipped, and the summary names the server, the reason and the file', async () => {
    const { code, output } = await runWithout();
    expect(code, output).toBe(0);
    expect(output).toContain('1 skipped');
    expect(output).toContain('nats:current: it is built with Go 1.25 or newer: no `go` on the PATH');
    expect(output).toContain('skipped: needy.fixture.ts');
  });

  it('fails the run with REQUIRE_SERVERS=1', async () => {
    const { code, output } = await runWithout({ REQUIRE_SERVERS: '1' });
    expect(code).toBe(1);
    expect(output).toContain("nats:current can't be had, and REQUIRE_SERVERS=1");
  });

  it('fails the run when an address is given and nobody answers there', async () => {
    const { code, output } = await runWithout({ NATS_URL: 'nats://127.0.0.1:9' });
    expect(code).toBe(1);
    expect(output).toContain('NATS_URL is set, but no nats answers there');
  });

  withServer('nats', { variant: '2.9' }, (server) => {
    it('runs against the server that the environment names', async () => {
      const { code, output } = await runWithout({ NATS_URL: server.url });
      expect(code, output).toBe(0);
      expect(output).toContain(`greeted by NATS_URL at ${server.port}`);
    });
  });
});
