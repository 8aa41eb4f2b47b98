import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable, Module } from '@nestjs/common';
import { expect, onTestFinished, test } from 'vitest';
import {
  ConfigClient,
  ConfigValue,
  DiscoveryModule,
  secretFiles,
  springCipher,
  type DiscoveryEvent,
  EventHub,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { VECTORS } from '../unit/config/secrets/spring-vectors.js';
import { init } from './support.js';

@Injectable()
class Database {
  @ConfigValue('db.password') readonly password!: string;
}

test('secrets are decrypted and read from files, follow their files, and are masked; what fails names the key', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nsd-secrets-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'db'), 'first\n');
  const registry = new InMemoryRegistry();
  const document = (password: string) => `db: { password: '${password}', user: '{cipher}${VECTORS.symmetric}' }`;
  registry.setDocument('application.yaml', document(`file:${folder}/db`), 'yaml');
  const backend = registry.backend();
  @Module({
    providers: [Database],
    imports: [
      DiscoveryModule.forRoot({
        service: { name: 'ORDERS' },
        registry: backend,
        config: backend,
        configOptions: { decoders: [springCipher({ key: VECTORS.password }), secretFiles({ folders: [folder] })] },
      }),
    ],
  })
  class AppModule {}
  const app = await init(AppModule);
  const [config, database] = [app.get(ConfigClient), app.get(Database)];
  const events: DiscoveryEvent[] = [];
  app.get(EventHub).subscribe((event) => events.push(event));
  expect(database.password).toBe('first');
  expect(config.get('db.user')).toBe(VECTORS.text);
  expect(config.explain('db.user')).toMatchObject({ secret: true, value: '******', written: undefined });
  let turn = 0;
  await expect
    .poll(async () => {
      turn += 1;
      await writeFile(join(folder, 'db'), `second ${turn}\n`);
      return database.password;
    })
    .toMatch(/^second/);
  registry.setDocument('application.yaml', document('{cipher}00ff'), 'yaml');
  const rejected = () => events.find((event) => event.type === 'config.rejected');
  await expect.poll(rejected).toMatchObject({
    error: {
      code: 'CONFIG_VALUE_INVALID',
      field: 'db.password',
      message: "'db.password' can't be decoded ({cipher}): it was encrypted with another key or salt, or is damaged",
    },
  });
  expect(database.password).toMatch(/^second/);
});
