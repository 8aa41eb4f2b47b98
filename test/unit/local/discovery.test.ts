import { readFile, readdir, rename, rm, stat, truncate, utimes, writeFile, mkdir, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Registration } from '../../../lib/model/index.js';
import { createRegistration } from '../../../lib/model/index.js';
import { decodeRecord, encodeRecord } from '../../../lib/backends/local/local.codec.js';
import { ownIdentity, type ProcessIdentity } from '../../../lib/backends/local/local.process.js';
import { LocalFixture, until, watching } from './local-fixture.js';

const DEAD_PID = 4_194_303;

describe('records of the local backend', () => {
  const fixture = new LocalFixture();
  beforeEach(() => fixture.makeHome());

  const folder = (service: string): string => join(fixture.directory, 'default', 'registry', service);
  const ofPort = (port: number): Registration =>
    createRegistration({ service: 'S', instanceId: `i${port}`, host: 'h', port });
  const ports = (reports: readonly { instances?: readonly { port: number }[] | undefined }[]): number[] | undefined =>
    reports.at(-1)?.instances?.map((instance) => instance.port);

  /** Puts a record there as another process would have. */
  const place = async (
    registration: Registration,
    process: ProcessIdentity,
    renewedAt = Date.now(),
    leaseMs = 60_000,
  ): Promise<string> => {
    await mkdir(folder('S'), { recursive: true, mode: 0o700 });
    const path = join(folder('S'), `${registration.instanceId}.json`);
    await writeFile(`${path}.new`, encodeRecord({ registration, leaseMs, owner: 'other', process }));
    await utimes(`${path}.new`, renewedAt / 1000, renewedAt / 1000);
    await rename(`${path}.new`, path);
    return path;
  };
  const elsewhere: ProcessIdentity = { ...ownIdentity(), hostname: 'another-host', pid: DEAD_PID };

  it('that are truncated, foreign or misplaced are told of once each; the others are found', async () => {
    const drivers = await fixture.open();
    await drivers.registry.register(ofPort(1)).registered;
    const good = join(folder('S'), 'i1.json');
    await truncate(await place(ofPort(2), elsewhere), 100);
    await writeFile(join(folder('S'), 'foreign.json'), '{"hello":"world"}');
    await copyFile(good, join(folder('S'), 'misplaced.json'));
    await writeFile(join(folder('S'), 'huge.json'), 'x'.repeat(300_000));
    await writeFile(join(folder('S'), 'notes.txt'), 'no record, and none of our business');
    const [first, second] = [watching(drivers, 'S'), watching(drivers, 'S')];
    await until(() => first.reports.length > 0 && second.reports.length > 0, 'both report');
    expect(ports(first.reports)).toEqual([1]);
    await first.watch.refresh();
    await first.watch.refresh();
    const skipped = fixture.events.filter((event) => event.type === 'record.skipped').map((event) => event.record);
    expect(skipped.sort()).toEqual(
      ['foreign', 'huge', 'i2', 'misplaced'].map((name) => join(folder('S'), `${name}.json`)),
    );
    // The wing reports, and the event log writes.
    expect(fixture.warnings).toEqual([]);
  });

  it('that become whole, or broken again, are judged by their new version', async () => {
    const drivers = await fixture.open();
    const path = await place(ofPort(2), elsewhere);
    const text = await readFile(path, 'utf8');
    const { reports } = watching(drivers, 'S');
    await until(() => ports(reports)?.length === 1, 'it is found');
    await truncate(path, 10);
    await until(() => ports(reports)?.length === 0, 'the broken one is left out');
    await writeFile(path, text);
    await until(() => ports(reports)?.length === 1, 'the whole one is found');
    expect(fixture.events.filter((event) => event.type === 'record.skipped').length).toBeGreaterThan(0);
  });

  it('whose lease ended are expired, and renewals that only touch the file keep it, without reading it again', async () => {
    const drivers = await fixture.open();
    const path = await place(ofPort(3), elsewhere, Date.now(), 600);
    const { reports } = watching(drivers, 'S');
    await until(() => ports(reports)?.length === 1, 'it is found');
    const [before] = reports.at(-1)?.instances ?? [];
    for (let renewal = 0; renewal < 6; renewal += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await utimes(path, Date.now() / 1000, Date.now() / 1000);
    }
    expect(ports(reports)).toEqual([3]);
    expect(reports).toHaveLength(1);
    expect(reports.at(-1)?.instances?.[0]).toBe(before);
    await until(() => ports(reports)?.length === 0, 'without renewals it expires');
  });

  it('with a time in the future expire too, a lease after they were seen', async () => {
    const drivers = await fixture.open();
    await place(ofPort(4), elsewhere, Date.now() + 3_600_000, 1000);
    const { reports } = watching(drivers, 'S');
    await until(() => ports(reports)?.length === 1, 'it is found');
    await until(() => ports(reports)?.length === 0, 'it expires');
    // Not because somebody removed a file that is long dead.
    expect(await readdir(folder('S'))).toEqual(['i4.json']);
  });

  it('that are long dead are removed by whoever sees them', async () => {
    const drivers = await fixture.open();
    const path = await place(ofPort(5), elsewhere, Date.now() - 60_000, 1000);
    const recent = await place(ofPort(6), elsewhere, Date.now() - 2000, 1000);
    const { reports } = watching(drivers, 'S');
    await until(async () => !(await readdir(folder('S'))).includes('i5.json'), 'the file is removed');
    expect(ports(reports)).toEqual([]);
    expect(path).not.toBe(recent);
    expect(await readdir(folder('S'))).toContain('i6.json');
  });

  it('of a process that is gone are dropped at once, but not those of another host, boot or container', async () => {
    const drivers = await fixture.open();
    const own = ownIdentity();
    await place(ofPort(1), { ...own, pid: DEAD_PID });
    await place(ofPort(2), elsewhere);
    await place(ofPort(3), { ...own, pid: DEAD_PID, bootId: 'another-boot' });
    await place(ofPort(4), { ...own, pid: DEAD_PID, pidNamespace: 'pid:[1]' });
    // Alive, but begun at another time: somebody else has its pid now.
    await place(ofPort(5), { ...own, pid: process.ppid, startedAt: '1' });
    await place(ofPort(6), { ...own, startedAt: '1' });
    const { reports } = watching(drivers, 'S');
    await until(() => reports.length > 0, 'it reports');
    await until(() => ports(reports)?.join() === '2,3,4', 'only the dead are gone');
  });

  it('come from events, long before the slow reading', async () => {
    const drivers = await fixture.open({ pollMs: 60_000 });
    const { reports } = watching(drivers, 'S');
    await until(() => ports(reports)?.length === 0, 'it begins empty, without a folder');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const lease = drivers.registry.register(ofPort(1));
    await until(() => ports(reports)?.join() === '1', 'the new folder is noticed');
    await drivers.registry.register(ofPort(2)).registered;
    await until(() => ports(reports)?.join() === '1,2', 'an addition is noticed');
    await lease.setStatus('DOWN');
    await until(() => reports.at(-1)?.instances?.[0]?.status === 'DOWN', 'a change is noticed');
    await lease.revoke();
    await until(() => ports(reports)?.join() === '2', 'a removal is noticed');
  });

  it('go on when the folder was removed with everything in it', async () => {
    const drivers = await fixture.open({ leaseMs: 900 });
    const lease = drivers.registry.register(ofPort(1));
    await lease.registered;
    const { reports } = watching(drivers, 'S');
    await until(() => ports(reports)?.length === 1, 'it is found');
    const before = reports.length;
    await rm(fixture.directory, { recursive: true });
    await until(() => reports.length > before, 'the loss is noticed');
    await until(() => ports(reports)?.length === 1, 'the next renewal registers again');
    expect((await stat(fixture.directory)).mode & 0o777).toBe(0o700);
    expect(await lease.revoke()).toBe('removed');
    await until(() => ports(reports)?.length === 0, 'a removal is noticed in the new folder');
  });

  it('of two processes with one instance id: the later has the file, and only its owner removes it', async () => {
    const drivers = await fixture.open({ leaseMs: 600 });
    const lease = drivers.registry.register(ofPort(1));
    await lease.registered;
    // Another living process with the same id; its lease is long.
    await place(ofPort(1), { ...ownIdentity(), pid: process.ppid, hostname: 'another-host' });
    const path = join(folder('S'), 'i1.json');
    await until(() => fixture.warnings.some((warning) => warning.includes('registered i1 too')), 'it warns');
    expect(decodeRecord(await readFile(path, 'utf8')).owner).toBe('other');
    await lease.revoke();
    expect(decodeRecord(await readFile(path, 'utf8')).owner).toBe('other');
  });

  it('of an earlier process that died are taken over at the next renewal', async () => {
    const drivers = await fixture.open({ leaseMs: 600 });
    const lease = drivers.registry.register(ofPort(1));
    await lease.registered;
    const path = await place(ofPort(1), { ...ownIdentity(), pid: DEAD_PID });
    await until(async () => decodeRecord(await readFile(path, 'utf8')).owner !== 'other', 'it is ours again');
    expect(await lease.revoke()).toBe('removed');
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('are given besides as static instances; a registered one of the same address wins', async () => {
    const drivers = await fixture.open({ instances: { S: ['http://h:1', 'http://10.0.0.5'], T: ['https://t'] } });
    const { reports } = watching(drivers, 'S');
    await until(() => ports(reports)?.join() === '1,80', 'both are there');
    const lease = drivers.registry.register(ofPort(1));
    await until(
      () => reports.at(-1)?.instances?.some((one) => one.id === 'i1') === true,
      'the registered one is there',
    );
    expect(ports(reports)).toEqual([1, 80]);
    await lease.revoke();
    await until(() => reports.at(-1)?.instances?.some((one) => one.id === 'i1') === false, 'the static one is back');
    expect(ports(reports)).toEqual([1, 80]);
    expect(await drivers.discovery.listServices()).toEqual(['S', 'T']);
  });

  it('make up the list of services: those with a living instance', async () => {
    const drivers = await fixture.open();
    const lease = drivers.registry.register(createRegistration({ service: 'Größe 1%', host: 'h', port: 1 }));
    await lease.registered;
    await place(ofPort(2), { ...ownIdentity(), pid: DEAD_PID });
    await writeFile(join(fixture.directory, 'default', 'registry', 'a file'), '');
    await mkdir(join(fixture.directory, 'default', 'registry', 'not ours !'));
    expect(await drivers.discovery.listServices()).toEqual(['Größe 1%']);
    await lease.revoke();
    expect(await drivers.discovery.listServices()).toEqual([]);
  });

  it('of another namespace are not seen', async () => {
    const [one, other] = [await fixture.open(), await fixture.open({ namespace: 'other' })];
    await one.registry.register(ofPort(1)).registered;
    expect(await other.discovery.listServices()).toEqual([]);
    expect(await one.discovery.listServices()).toEqual(['S']);
  });
});
