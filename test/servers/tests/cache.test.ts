import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cached, lookUp, withLock } from '../cache.js';

describe('cache of programs', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nsd-cache-test-'));
    vi.stubEnv('NSD_SERVER_CACHE', folder);
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  });

  it('builds once, however many ask at the same time', async () => {
    let builds = 0;
    const build = async (target: string) => {
      builds++;
      await writeFile(join(target, 'program'), '');
    };
    const folders = await Promise.all([cached('thing', build), cached('thing', build), cached('thing', build)]);
    expect(new Set(folders)).toEqual(new Set([join(folder, 'thing')]));
    expect(builds).toBe(1);
    await access(join(folder, 'thing', 'program'));
    expect(await readdir(folder)).toEqual(['thing']);
  });

  it('keeps nothing of a build that failed, and builds again', async () => {
    const broken = async (target: string) => {
      await writeFile(join(target, 'half'), '');
      throw new Error('compiler says no');
    };
    await expect(cached('thing', broken)).rejects.toThrow('compiler says no');
    expect(await lookUp('thing')).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
    await cached('thing', (target) => writeFile(join(target, 'whole'), ''));
    expect(await readdir(join(folder, 'thing'))).toEqual(['whole']);
  });

  it('takes over the lock of a dead process and removes what its build left', async () => {
    const deadPid = 4_194_303; // above the largest id that Linux gives out by default
    await writeFile(join(folder, '.lock-thing'), String(deadPid));
    await mkdir(join(folder, '.building-thing-x'));
    await cached('thing', (target) => writeFile(join(target, 'program'), ''));
    expect(await readdir(folder)).toEqual(['thing']);
  });

  it('waits for a lock whose holder lives', async () => {
    const order: string[] = [];
    let release = () => {};
    const first = withLock('x', async () => {
      order.push('first in');
      await new Promise<void>((resolve) => (release = resolve));
      order.push('first out');
    });
    await expect.poll(() => order).toEqual(['first in']);
    const second = withLock('x', async () => void order.push('second in'));
    release();
    await Promise.all([first, second]);
    expect(order).toEqual(['first in', 'first out', 'second in']);
  });
});
