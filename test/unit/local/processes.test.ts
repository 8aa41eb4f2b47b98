import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { createRegistration } from '../../../lib/model/index.js';
import { LocalFixture, until, watching } from './local-fixture.js';

const SCRIPT = fileURLToPath(new URL('./fixtures/registering-process.ts', import.meta.url));

describe('several processes on the local backend', () => {
  const fixture = new LocalFixture();
  beforeEach(() => fixture.makeHome());

  /** Starts a process that registers; its lines of output are gathered. */
  const start = (port: number, rounds: number): { child: ChildProcess; lines: string[]; exited: Promise<unknown> } => {
    const args = ['--import', 'tsx', SCRIPT, fixture.directory, 'S', String(port), String(rounds)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    fixture.onCleanUp(() => {
      child.kill('SIGKILL');
      return exited;
    });
    const lines: string[] = [];
    if (child.stdout !== null) createInterface(child.stdout).on('line', (line) => lines.push(line));
    return { child, lines, exited };
  };

  it('one that is killed disappears at once, long before its lease ends', async () => {
    const drivers = await fixture.open({ pollMs: 60_000 });
    const { reports } = watching(drivers, 'S');
    const [first, second] = [start(3001, 0), start(3002, 0)];
    await until(() => reports.at(-1)?.instances?.length === 2, 'both are seen', 30_000);
    first.child.kill('SIGKILL');
    await until(() => reports.at(-1)?.instances?.length === 1, 'the killed one is gone', 20_000);
    expect(reports.at(-1)?.instances?.[0]?.port).toBe(3002);
    second.child.kill('SIGKILL');
    await until(() => reports.at(-1)?.instances?.length === 0, 'the other one is gone', 20_000);
  }, 90_000);

  it('that register and revoke at the same time leave nothing and lose nothing', async () => {
    const drivers = await fixture.open();
    const kept = drivers.registry.register(createRegistration({ service: 'S', host: '127.0.0.1', port: 1 }));
    const { reports } = watching(drivers, 'S');
    const processes = [start(4001, 20), start(5001, 20)];
    for (let round = 0; round < 20; round += 1) {
      const lease = drivers.registry.register(
        createRegistration({ service: 'S', host: '127.0.0.1', port: 6001 + round }),
      );
      await lease.registered;
      expect(await lease.revoke()).toBe('removed');
    }
    // They also end by themselves: nothing of theirs keeps them alive after close().
    await Promise.all(processes.map((one) => one.exited));
    for (const { child, lines } of processes) {
      expect(child.exitCode).toBe(0);
      expect(lines.filter((line) => line === 'removed')).toHaveLength(20);
    }
    await until(
      () =>
        reports
          .at(-1)
          ?.instances?.map((one) => one.port)
          .join() === '1',
      'only the kept one is seen',
    );
    expect(kept.state.current.phase).toBe('registered');
    expect(await readdir(join(fixture.directory, 'default', 'registry', 'S'))).toEqual(['S%3A127.0.0.1%3A1.json']);
    expect(fixture.warnings).toEqual([]);
  }, 90_000);
});
