import { chmod, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { writeFileAtomically } from '../../../lib/backend/index.js';
import { DiskSnapshot } from '../../../lib/config/index.js';
import { noUnhandledRejections, rejectionOf } from '../backend/helpers.js';

noUnhandledRejections();

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'disk-snapshot-'));
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

describe('DiskSnapshot', () => {
  it('keeps what was written, until it is removed', async () => {
    const snapshots = new DiskSnapshot(join(root, 'a', 'b'));
    expect(await snapshots.read('ORDERS')).toBeUndefined();
    await snapshots.remove('ORDERS');
    await snapshots.write('ORDERS', 'one');
    await snapshots.write('ORDERS', 'zwei ü');
    expect(await new DiskSnapshot(join(root, 'a', 'b')).read('ORDERS')).toBe('zwei ü');
    expect(await readdir(join(root, 'a', 'b'))).toEqual(['ORDERS']);
    await snapshots.remove('ORDERS');
    await snapshots.remove('ORDERS');
    expect(await snapshots.read('ORDERS')).toBeUndefined();
  });

  it('is for the owner only', async () => {
    const directory = join(root, 'private');
    await new DiskSnapshot(directory).write('ORDERS', 'x');
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, 'ORDERS'))).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['a folder that others may write to', async (directory: string) => chmod(directory, 0o777)],
    ['a file that others may write to', async (directory: string) => chmod(join(directory, 'ORDERS'), 0o666)],
    [
      'a file that is a link',
      async (directory: string) => {
        await writeFile(join(root, 'elsewhere'), 'evil', { mode: 0o600 });
        await rm(join(directory, 'ORDERS'));
        await symlink(join(root, 'elsewhere'), join(directory, 'ORDERS'));
      },
    ],
    [
      'a folder that is a link',
      async (directory: string) => {
        await rename(directory, join(root, 'moved'));
        await symlink(join(root, 'moved'), directory);
      },
    ],
  ])('doesn’t believe %s', async (_, tamper) => {
    const directory = join(root, 'mine');
    const snapshots = new DiskSnapshot(directory);
    await snapshots.write('ORDERS', 'x');
    await tamper(directory);
    expect(await rejectionOf(snapshots.read('ORDERS'))).toMatchObject({
      code: 'BACKEND_REFUSED',
      field: 'snapshotDirectory',
    });
  });

  it.each(['../x', '..', '.', '/etc/passwd', '..\\x', 'a/../../x', 'a\0b', '.tmp', 'group@@data id', '__proto__', '%'])(
    'keeps %j inside its folder, apart from all others',
    async (name) => {
      const directory = join(root, 'inside');
      const snapshots = new DiskSnapshot(directory);
      await snapshots.write('other', 'other');
      await snapshots.write(name, 'evil');
      expect(await readdir(root)).toEqual(['inside']);
      const files = await readdir(directory);
      expect(files).toHaveLength(2);
      for (const file of files) expect((await stat(join(directory, file))).isFile()).toBe(true);
      expect(await snapshots.read(name)).toBe('evil');
      expect(await snapshots.read('other')).toBe('other');
      await snapshots.remove(name);
      expect(await readdir(directory)).toEqual(['other']);
    },
  );

  it('keeps the longest name that it takes, and refuses a longer one', async () => {
    const snapshots = new DiskSnapshot(join(root, 'long'));
    await snapshots.write('x'.repeat(240), 'content');
    expect(await snapshots.read('x'.repeat(240))).toBe('content');
    expect(await rejectionOf(snapshots.write('x'.repeat(241), ''))).toMatchObject({ code: 'INVALID_NAME' });
    expect(await rejectionOf(snapshots.write('', ''))).toMatchObject({ code: 'INVALID_NAME' });
    expect(await rejectionOf(snapshots.read('\ud800'))).toMatchObject({ code: 'INVALID_NAME' });
  });

  it('never shows a torn file, however many write and read at once', async () => {
    const snapshots = new DiskSnapshot(root);
    const content = (writer: number): string => `${writer}:`.repeat(20_000);
    await snapshots.write('shared', content(0));
    const whole = new Set(Array.from({ length: 6 }, (_, writer) => content(writer)));
    let writing = true;
    let reads = 0;
    const writers = Promise.all(
      Array.from({ length: 5 }, async (_, writer) => {
        for (let i = 0; i < 10; i += 1) await snapshots.write('shared', content(writer + 1));
      }),
    );
    const readers = Promise.all(
      Array.from({ length: 3 }, async () => {
        while (writing) {
          const read = await snapshots.read('shared');
          reads += 1;
          if (!whole.has(read ?? '')) throw new Error(`torn: ${read?.length ?? 'nothing'}`);
        }
      }),
    );
    await writers.finally(() => (writing = false));
    await readers;
    expect(reads).toBeGreaterThan(10);
    expect(await readdir(root)).toEqual(['shared']);
  });

  it('takes a folder that is not there, or is a file, for "nothing kept"', async () => {
    await writeFile(join(root, 'file'), '');
    expect(await new DiskSnapshot(join(root, 'file')).read('x')).toBeUndefined();
    await expect(new DiskSnapshot(join(root, 'file')).write('x', '')).rejects.toThrow();
  });
});

describe('writeFileAtomically', () => {
  it('leaves the old content and no temporary file when it fails', async () => {
    const target = join(root, 'target');
    await mkdir(target);
    await writeFile(join(target, 'inside'), 'old');
    await expect(writeFileAtomically(target, 'new')).rejects.toThrow();
    expect(await readdir(root)).toEqual(['target']);
    expect(await readFile(join(target, 'inside'), 'utf8')).toBe('old');
    await expect(writeFileAtomically(join(root, 'missing', 'x'), 'new')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('does without flushing where the file system has none, and not where it fails', async () => {
    const handle = await open(join(root, 'any'), 'w');
    const sync = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'sync');
    await handle.close();
    onTestFinished(() => sync.mockRestore());
    // Yarn's Plug'n'Play.
    sync.mockRejectedValueOnce(new Error('Method not implemented.'));
    await writeFileAtomically(join(root, 'written'), 'x');
    expect(await readFile(join(root, 'written'), 'utf8')).toBe('x');
    sync.mockRejectedValueOnce(Object.assign(new Error('broken disk'), { code: 'EIO' }));
    await expect(writeFileAtomically(join(root, 'written'), 'y')).rejects.toThrow('broken disk');
    expect(await readFile(join(root, 'written'), 'utf8')).toBe('x');
  });

  it('writes bytes as they are', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    await writeFileAtomically(join(root, 'bytes'), bytes);
    expect(new Uint8Array(await readFile(join(root, 'bytes')))).toEqual(bytes);
  });
});
