import { chmod, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ConfigReport } from '../../../lib/backend/index.js';
import type { ConfigScope } from '../../../lib/model/index.js';
import { LocalFixture, until, watchingConfig } from './local-fixture.js';

const ORDERS: ConfigScope = { kind: 'application', application: 'orders', profiles: ['prod'] };

describe('configuration of the local backend', () => {
  const fixture = new LocalFixture();
  beforeEach(() => fixture.makeHome());

  const path = (name: string): string => join(fixture.configDirectory, name);
  const ids = (reports: readonly ConfigReport[]): string | undefined =>
    reports
      .at(-1)
      ?.documents?.map((document) => document.id)
      .join();
  const text = (reports: readonly ConfigReport[], id: string): string | undefined => {
    const content = reports.at(-1)?.documents?.find((document) => document.id === id)?.content;
    return content !== undefined && 'text' in content ? content.text : undefined;
  };

  it('is empty without a folder, and is picked up by an event when that appears', async () => {
    const drivers = await fixture.open({ pollMs: 60_000 });
    const { reports } = watchingConfig(drivers, ORDERS);
    await until(() => reports.length > 0, 'it reports');
    expect(reports).toEqual([{ documents: [] }]);
    await mkdir(fixture.configDirectory);
    await writeFile(path('orders.yaml'), 'limit: 1');
    await until(() => ids(reports) === 'orders.yaml', 'the file is there');
    await writeFile(path('orders.yaml'), 'limit: 2');
    await until(() => text(reports, 'orders.yaml') === 'limit: 2', 'its change is there');
    await rm(path('orders.yaml'));
    await until(() => ids(reports) === '', 'its removal is there');
  });

  it('comes as raw text with its format, all files of the folder in layers', async () => {
    await mkdir(fixture.configDirectory);
    await writeFile(path('application.json'), '\uFEFF{"a":');
    await writeFile(path('orders-prod.properties'), 'a=1');
    await writeFile(path('db.password'), '  s3cret\n');
    await writeFile(path('orders.yaml~'), 'editor');
    await writeFile(path('.hidden.yaml'), 'hidden');
    await mkdir(path('folder.yaml'));
    const drivers = await fixture.open();
    const { reports } = watchingConfig(drivers, ORDERS);
    await until(() => reports.length > 0, 'it reports');
    expect(reports[0]?.documents?.map((document) => [document.id, document.content])).toEqual([
      ['application.json', { format: 'json', text: '{"a":' }],
      ['plain files', { format: 'entries', entries: { 'db.password': 's3cret' } }],
      ['orders-prod.properties', { format: 'properties', text: 'a=1' }],
    ]);
  });

  it('follows the links of a Kubernetes config map, also when all are switched at once', async () => {
    const version = async (name: string, content: string): Promise<void> => {
      await mkdir(path(name));
      await writeFile(join(path(name), 'orders.yaml'), content);
      await writeFile(join(path(name), 'plain'), content);
    };
    await mkdir(fixture.configDirectory);
    await version('..2024_1', 'v: 1');
    await symlink('..2024_1', path('..data'));
    await symlink('..data/orders.yaml', path('orders.yaml'));
    await symlink('..data/plain', path('plain'));
    const drivers = await fixture.open({ pollMs: 60_000 });
    const { reports } = watchingConfig(drivers, ORDERS);
    await until(() => ids(reports) === 'plain files,orders.yaml', 'the files are there');
    await version('..2024_2', 'v: 2');
    await symlink('..2024_2', path('..data_tmp'));
    await rename(path('..data_tmp'), path('..data'));
    await rm(path('..2024_1'), { recursive: true });
    await until(() => text(reports, 'orders.yaml') === 'v: 2', 'the new version is there');
    expect(reports.every((report) => report.documents?.length === 2)).toBe(true);
  });

  it('leaves out what is no text or far too long, told of once, and takes it when that changes', async () => {
    await mkdir(fixture.configDirectory);
    await writeFile(path('keystore.jks'), Buffer.from([1, 0, 2]));
    await writeFile(path('orders.yaml'), 'x'.repeat(2_000_000));
    const drivers = await fixture.open();
    const { watch, reports } = watchingConfig(drivers, ORDERS);
    await until(() => reports.length > 0, 'it reports');
    expect(ids(reports)).toBe('');
    await watch.refresh();
    const skipped = fixture.events.filter((event) => event.type === 'record.skipped');
    expect(skipped.map(({ error }) => error.code)).toEqual(['CONFIG_DOCUMENT_INVALID', 'CONFIG_DOCUMENT_INVALID']);
    // Nothing was rejected: the other files are taken.
    expect(fixture.events.filter((event) => event.type === 'config.rejected')).toEqual([]);
    expect(fixture.warnings).toEqual([]);
    await writeFile(path('orders.yaml'), 'a: 1');
    await until(() => ids(reports) === 'orders.yaml', 'the better one is there');
  });

  it('is not reported again when a file is touched or saved unchanged', async () => {
    await mkdir(fixture.configDirectory);
    await writeFile(path('orders.yaml'), 'a: 1');
    const drivers = await fixture.open({ pollMs: 50 });
    const { reports } = watchingConfig(drivers, ORDERS);
    await until(() => reports.length > 0, 'it reports');
    await utimes(path('orders.yaml'), 1, 1);
    await writeFile(path('orders.yaml'), 'a: 1');
    await writeFile(path('stock.yaml'), 'of another application');
    await writeFile(path('orders-prod.yaml'), 'b: 1');
    await until(() => ids(reports) === 'orders.yaml,orders-prod.yaml', 'the new file is there');
    expect(reports).toHaveLength(2);
  });

  it('is written without leaving anything behind, and keeps rights and links', async () => {
    const drivers = await fixture.open();
    await drivers.config.publish('orders.yaml', 'a: 1');
    await chmod(path('orders.yaml'), 0o644);
    await writeFile(join(fixture.home, 'real.yaml'), 'a: 0');
    await symlink(join(fixture.home, 'real.yaml'), path('linked.yaml'));
    await drivers.config.publish('orders.yaml', 'a: 2', { format: 'yaml' });
    await drivers.config.publish('linked.yaml', 'a: 3');
    expect((await stat(path('orders.yaml'))).mode & 0o777).toBe(0o644);
    expect((await lstat(path('linked.yaml'))).isSymbolicLink()).toBe(true);
    expect(await readFile(join(fixture.home, 'real.yaml'), 'utf8')).toBe('a: 3');
    expect((await readdir(fixture.configDirectory)).sort()).toEqual(['linked.yaml', 'orders.yaml']);
    expect(await drivers.config.list?.('or')).toEqual(['orders.yaml']);
  });

  it('refuses a format that the name contradicts: the file would be read as something else', async () => {
    const { config } = await fixture.open();
    const refused = { code: 'INVALID_OPTION', field: 'format' };
    await expect(config.publish('orders', 'a: 1', { format: 'yaml' })).rejects.toMatchObject(refused);
    await expect(config.publish('orders.json', 'a: 1', { format: 'yaml' })).rejects.toMatchObject(refused);
  });

  it('tells what cannot be written: a folder where the file should be', async () => {
    await mkdir(path('orders.yaml'), { recursive: true });
    const { config } = await fixture.open();
    await expect(config.publish('orders.yaml', 'a: 1')).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
    expect(await readdir(fixture.configDirectory)).toEqual(['orders.yaml']);
  });

  it('is written although a writer died and left its lock', async () => {
    await mkdir(fixture.configDirectory);
    const lock = path(`.lock-${createHash('sha256').update('orders.yaml').digest('hex').slice(0, 16)}`);
    await writeFile(lock, 'of a dead writer');
    await utimes(lock, Date.now() / 1000 - 60, Date.now() / 1000 - 60);
    const { config } = await fixture.open();
    await config.publish('orders.yaml', 'a: 1');
    expect(await readFile(path('orders.yaml'), 'utf8')).toBe('a: 1');
    await writeFile(lock, 'of a living writer');
    const waiting = config.publish('orders.yaml', 'a: 2', { signal: AbortSignal.timeout(100) });
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await readFile(path('orders.yaml'), 'utf8')).toBe('a: 1');
  });
});
