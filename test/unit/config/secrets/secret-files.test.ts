import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { secretFiles, type SecretFilesOptions } from '../../../../lib/config/index.js';

const about = { key: 'db.password', document: 'orders.yml' };

async function folders(): Promise<{ readonly inside: string; readonly outside: string }> {
  const root = await mkdtemp(join(tmpdir(), 'nsd-secrets-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const [inside, outside] = [join(root, 'secrets'), join(root, 'elsewhere')];
  await Promise.all([mkdir(inside), mkdir(outside)]);
  return { inside, outside };
}

/** Tells how often a change was told. */
function follow(decoder: ReturnType<typeof secretFiles>): { readonly count: number } {
  const told = { count: 0 };
  const end = decoder.follow?.(() => (told.count += 1));
  onTestFinished(async () => void (await end?.()));
  return told;
}

describe('secretFiles()', () => {
  it('gives the text of a file without the line feed at its end', async () => {
    const { inside } = await folders();
    const decoder = secretFiles({ folders: [inside] });
    await mkdir(join(inside, 'below'));
    for (const [name, written, read] of [
      ['a', 'pässword\n', 'pässword'],
      ['b', 'x\r\n', 'x'],
      ['c', 'x\n\n', 'x\n'],
      ['below/d', '', ''],
    ] as const) {
      await writeFile(join(inside, name), written);
      expect(await decoder.decode(join(inside, name), about)).toBe(read);
    }
    expect(await decoder.decode(`//${inside}/a`, about)).toBe('pässword');
  });

  it('reads nothing outside its folders, wherever a path or a link leads', async () => {
    const { inside, outside } = await folders();
    const decoder = secretFiles({ folders: [inside] });
    await writeFile(join(outside, 'other'), 'OTHER');
    await symlink(join(outside, 'other'), join(inside, 'link'));
    await symlink(outside, join(inside, 'folder'));
    await mkdir(`${inside}-2`);
    await writeFile(`${inside}-2/other`, 'OTHER');
    for (const path of [
      join(outside, 'other'),
      `${inside}/../elsewhere/other`,
      `${inside}/link`,
      `${inside}/folder/other`,
      `${inside}-2/other`,
      inside,
      '../../etc/passwd',
      '/etc/passwd',
    ]) {
      await expect(decoder.decode(path, about), path).rejects.toMatchObject({
        code: 'CONFIG_VALUE_INVALID',
        message: expect.stringContaining(`isn't in ${inside}`) as string,
      });
    }
  });

  it('follows a folder that is a link itself', async () => {
    const { inside, outside } = await folders();
    await writeFile(join(outside, 'db'), 'x');
    await symlink(outside, join(inside, 'mounted'));
    expect(await secretFiles({ folders: [join(inside, 'mounted')] }).decode(join(inside, 'mounted/db'), about)).toBe(
      'x',
    );
  });

  it('refuses what is no file, is too long or is no text, and shows nothing of it', async () => {
    const { inside } = await folders();
    const decoder = secretFiles({ folders: [inside], maxBytes: 10 });
    await mkdir(join(inside, 'folder'));
    execFileSync('mkfifo', [join(inside, 'pipe')]);
    await writeFile(join(inside, 'long'), 'LONG-SECRET');
    await writeFile(join(inside, 'bytes'), Buffer.from([0xff, 0xfe, 0x41]));
    await expect(decoder.decode(join(inside, 'folder'), about)).rejects.toThrow(/is no file$/);
    await expect(decoder.decode(join(inside, 'pipe'), about)).rejects.toThrow(/is no file$/);
    await expect(decoder.decode(join(inside, 'long'), about)).rejects.toThrow(/long is longer than 10 bytes$/);
    await expect(decoder.decode(join(inside, 'bytes'), about)).rejects.toThrow(/bytes is no text in UTF-8$/);
    await expect(decoder.decode(join(inside, 'none'), about)).rejects.toThrow(/none can't be read: ENOENT$/);
  });

  it('tells when a file rotates: written anew, replaced, and swapped as Kubernetes does', async () => {
    const { inside } = await folders();
    const decoder = secretFiles({ folders: [inside] });
    await writeFile(join(inside, 'plain'), '1');
    await mkdir(join(inside, '..2024_1'));
    await writeFile(join(inside, '..2024_1/db'), 'old');
    await symlink('..2024_1', join(inside, '..data'));
    await symlink('..data/db', join(inside, 'db'));
    const read = async () => [
      await decoder.decode(join(inside, 'plain'), about),
      await decoder.decode(join(inside, 'db'), about),
    ];
    expect(await read()).toEqual(['1', 'old']);
    const told = follow(decoder);
    // The events are there when the first look is over; written until they are.
    const changes: readonly (readonly [(turn: number) => Promise<void>, number])[] = [
      [(turn) => writeFile(join(inside, 'plain'), `new ${turn}`), 0],
      [
        async (turn) => {
          await writeFile(join(inside, 'next'), `renamed ${turn}`);
          await rename(join(inside, 'next'), join(inside, 'plain'));
        },
        0,
      ],
      [
        async (turn) => {
          await mkdir(join(inside, `..2025_${turn}`));
          await writeFile(join(inside, `..2025_${turn}/db`), `swapped ${turn}`);
          await symlink(`..2025_${turn}`, join(inside, '..data_tmp'));
          await rename(join(inside, '..data_tmp'), join(inside, '..data'));
        },
        1,
      ],
    ];
    for (const [change, at] of changes) {
      const before = told.count;
      let turn = 0;
      await expect
        .poll(async () => {
          turn += 1;
          await change(turn);
          return told.count;
        })
        .toBeGreaterThan(before);
      expect((await read())[at]).toMatch(/^(?:new|renamed|swapped) \d+$/);
    }
  });

  it('tells of a file that is gone, and of one that is back, also without events', async () => {
    const { inside } = await folders();
    const decoder = secretFiles({ folders: [inside], pollMs: 50 });
    await writeFile(join(inside, 'db'), 'x');
    await decoder.decode(join(inside, 'db'), about);
    const told = follow(decoder);
    await rm(join(inside, 'db'));
    await expect.poll(() => told.count).toBe(1);
    await expect(decoder.decode(join(inside, 'db'), about)).rejects.toThrow(/ENOENT/);
    await writeFile(join(inside, 'db'), 'y');
    await expect.poll(() => told.count).toBeGreaterThan(1);
    expect(await decoder.decode(join(inside, 'db'), about)).toBe('y');
  });

  it.each<[unknown, string]>([
    [{ folders: ['secrets'] }, 'folders[0] must be an absolute path'],
    [{ prefix: '' }, 'prefix must be'],
    [{ maxBytes: 0 }, 'maxBytes must be'],
    [{ folder: '/x' }, 'folder is no option'],
  ])('refuses %j', (options, problem) => {
    expect(() => secretFiles(options as SecretFilesOptions)).toThrow(problem);
  });
});
