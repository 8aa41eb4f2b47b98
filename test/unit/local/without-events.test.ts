import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { createRegistration } from '../../../lib/model/index.js';
import { LocalFixture, until, watching, watchingConfig } from './local-fixture.js';

const watch = vi.hoisted(() => vi.fn());
vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), watch }));

describe('the local backend without events of the file system', () => {
  const fixture = new LocalFixture();
  beforeEach(async () => {
    await fixture.makeHome();
    watch.mockReset().mockImplementation(() => {
      throw Object.assign(new Error('ENOSPC: System limit for number of file watchers reached'), { code: 'ENOSPC' });
    });
  });

  it('sees additions, changes and removals by reading from time to time', async () => {
    const drivers = await fixture.open({ pollMs: 50 });
    const { reports } = watching(drivers, 'S');
    await until(() => reports.at(-1)?.instances?.length === 0, 'it begins empty');
    const lease = drivers.registry.register(createRegistration({ service: 'S', host: 'h', port: 1 }));
    await until(() => reports.at(-1)?.instances?.length === 1, 'the addition is seen');
    await lease.setStatus('DOWN');
    await until(() => reports.at(-1)?.instances?.[0]?.status === 'DOWN', 'the change is seen');
    await lease.revoke();
    await until(() => reports.at(-1)?.instances?.length === 0, 'the removal is seen');
    expect(watch).toHaveBeenCalled();
    expect(reports.every((report) => report.error === undefined)).toBe(true);
  });

  it('sees configuration that appears, too', async () => {
    const drivers = await fixture.open({ pollMs: 50 });
    const { reports } = watchingConfig(drivers, { kind: 'application', application: 'a', profiles: [] });
    await until(() => reports.at(-1)?.documents?.length === 0, 'it begins empty');
    await mkdir(fixture.configDirectory);
    await writeFile(join(fixture.configDirectory, 'a.yaml'), 'a: 1');
    await until(() => reports.at(-1)?.documents?.length === 1, 'the file is seen');
  });
});
