import { chmod, chown, lstat, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createRegistration } from '../../../lib/model/index.js';
import { LocalFixture } from './local-fixture.js';

describe('the directory of the local backend', () => {
  const fixture = new LocalFixture();
  beforeEach(() => fixture.makeHome());

  const opening = (): Promise<void> => fixture.create().open();

  it('is created for its owner only, and so is everything in it', async () => {
    const { registry } = await fixture.open({ directory: join(fixture.home, 'a', 'b') });
    await registry.register(createRegistration({ service: 'S', host: 'h', port: 1 })).registered;
    const inside = join(fixture.home, 'a', 'b', 'default', 'registry', 'S');
    for (const folder of [join(fixture.home, 'a', 'b'), inside]) {
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
    }
    expect((await stat(join(inside, 'S%3Ah%3A1.json'))).mode & 0o777).toBe(0o600);
  });

  it('that exists and is private is used', async () => {
    await mkdir(fixture.directory, { mode: 0o700 });
    await opening();
    expect((await lstat(join(fixture.directory, 'default', 'registry'))).isDirectory()).toBe(true);
  });

  it.each([0o755, 0o770, 0o701, 0o777])('open to others (mode %o) is refused, saying how to close it', async (mode) => {
    await mkdir(fixture.directory);
    await chmod(fixture.directory, mode);
    await expect(opening()).rejects.toMatchObject({
      code: 'BACKEND_REFUSED',
      field: 'directory',
      message: expect.stringContaining('chmod 700'),
    });
  });

  it.runIf(process.getuid?.() === 0)('that belongs to another user is refused', async () => {
    await mkdir(fixture.directory, { mode: 0o700 });
    await chown(fixture.directory, 12_345, 12_345);
    await expect(opening()).rejects.toMatchObject({
      code: 'BACKEND_REFUSED',
      message: expect.stringContaining('belongs to the user 12345'),
    });
  });

  it('that is a symbolic link is refused', async () => {
    await mkdir(join(fixture.home, 'elsewhere'), { mode: 0o700 });
    await symlink(join(fixture.home, 'elsewhere'), fixture.directory);
    await expect(opening()).rejects.toMatchObject({ code: 'BACKEND_REFUSED', field: 'directory' });
  });

  it('that is a file is refused', async () => {
    await writeFile(fixture.directory, '');
    await expect(opening()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE', field: 'directory' });
  });

  it('made unsafe later gets no further registration', async () => {
    const { registry } = await fixture.open();
    await chmod(fixture.directory, 0o777);
    const lease = registry.register(createRegistration({ service: 'S', host: 'h', port: 1 }));
    await expect.poll(() => lease.state.current.error?.code, { timeout: 5000 }).toBe('BACKEND_REFUSED');
    await chmod(fixture.directory, 0o700);
    await lease.registered;
  });

  it('refuses names that are paths or too long, at once and not in a loop', async () => {
    const { registry, discovery } = await fixture.open();
    const long = 'ä'.repeat(200);
    const refused = expect.objectContaining({ code: 'INVALID_NAME' });
    const registration = createRegistration({ service: 'S', host: 'h', port: 1 });
    expect(() => registry.register({ ...registration, service: long })).toThrow(refused);
    expect(() => registry.register({ ...registration, instanceId: long })).toThrow(refused);
    expect(() => discovery.watch(long, () => {})).toThrow(refused);
    // A name of dots never leaves the folder, whoever made the registration.
    await registry.register({ ...registration, service: '..' }).registered;
    expect((await stat(join(fixture.directory, 'default', 'registry', '%2E.'))).isDirectory()).toBe(true);
  });
});
