import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { refreshWebhook, springConfig, type SpringConfigOptions } from '../../../lib/backends/spring-config/index.js';
import {
  ConfigClient,
  DiscoveryModule,
  EventHub,
  springCipher,
  type ConfigDecoder,
  type DiscoveryEvent,
} from '../../../lib/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { standIn } from '../../servers/for-tests.js';
import type { SpringPeer } from '../spring-peer.js';
import { encrypt, LOGIN, provideConfigServer, startConfigServer } from './config-server.js';

const run = promisify(execFile);

/** An app that reads the server, with what happens in it. */
async function open(options: SpringConfigOptions, registry = new InMemoryRegistry(), decoders: ConfigDecoder[] = []) {
  @Module({
    imports: [
      DiscoveryModule.forRoot({
        service: { name: 'orders' },
        registry: registry.backend(),
        config: springConfig({ ...LOGIN, pollMs: 100, requestTimeoutMs: 3000, ...options }),
        profiles: ['dev', 'eu'],
        configOptions: { environment: false, commandLine: false, decoders },
      }),
    ],
  })
  class AppModule {}
  const app = (await Test.createTestingModule({ imports: [AppModule] }).compile()).createNestApplication({
    logger: false,
  });
  const events: DiscoveryEvent[] = [];
  onTestFinished(() => app.close());
  await app.init();
  app.get(EventHub).subscribe((event) => events.push(event));
  const config = app.get(ConfigClient);
  return { config, events, types: () => events.map(({ type }) => type) };
}

const program = await provideConfigServer();
if ('reason' in program) standIn('spring-config-server', program.reason, 'Spring application');
else {
  describe('together with a Spring Cloud Config server', () => {
    let folder: string;
    let server: SpringPeer;
    let url: string;
    const write = (name: string, text: string) => writeFile(join(folder, name), text);

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'nsd-config-'));
      server = await startConfigServer(program, folder, { 'encrypt.key': 's3cret' });
      url = `http://127.0.0.1:${server.port}`;
      await write('application.yml', 'a: 1\nb: 1\nc: 1\nd: 1\nlist: [x, { y: 2 }]\nflag: true\n');
      await write('orders.yml', 'b: 2\nc: 2\nd: 2\n---\nspring.config.activate.on-profile: eu\nd: 4\ne: 4\n');
      await write('orders-dev.properties', 'c=3\nd=3\nname=${spring.application.name}/${a}\n');
    });

    afterAll(async () => {
      await server.close();
      await rm(folder, { recursive: true });
    });

    it('its layers win over each other as with Spring, with where each value comes from', async () => {
      const { config } = await open({ url });
      expect(config.get('')).toEqual({
        ...{ a: '1', b: '2', c: '3', d: '3', e: '4', flag: 'true' },
        list: ['x', { y: '2' }],
        name: 'orders/1',
      });
      expect(config.get('flag', false)).toBe(true);
      expect(config.explain('c').origin).toMatchObject({
        backend: 'spring-config',
        name: expect.stringMatching(/orders-dev/) as string,
      });
      expect(config.explain('c').overrides).toHaveLength(2);
      await expect(config.publish('orders.yml', 'a: 1')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      expect(await config.read('orders-dev.properties')).toMatchObject({ content: { format: 'properties' } });
      const other = await open({
        url,
        application: ['billing', 'orders'],
        profiles: ['none'],
        label: ['main', 'feature/x'],
      });
      expect(other.config.get('d')).toBe('2');
    });

    it('a change is seen by itself, at a refresh, and when the webhook is called', async () => {
      await write('application-eu.yml', 'live: 1\n');
      const { config } = await open({ url });
      const slow = (await open({ url, pollMs: 1e9 })).config;
      const hook = createServer(refreshWebhook(() => slow.refresh(), { token: 'word' }));
      await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
      onTestFinished(() => void hook.close());
      const address = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
      await write('application-eu.yml', 'live: 2\n');
      await expect.poll(() => config.get('live')).toBe('2');
      expect(slow.get('live')).toBe('1');
      await slow.refresh();
      expect(slow.get('live')).toBe('2');
      await write('application-eu.yml', 'live: 3\n');
      const call = async (headers: Record<string, string>, method = 'POST') =>
        (await fetch(address, { method, headers, ...(method === 'POST' ? { body: '{}' } : {}) })).status;
      expect(await call({ authorization: 'Bearer other' })).toBe(401);
      expect(await call({})).toBe(401);
      expect(await call({ 'x-gitlab-token': 'word' }, 'GET')).toBe(405);
      expect(slow.get('live')).toBe('2');
      expect(await call({ authorization: 'Bearer word' })).toBe(204);
      expect(slow.get('live')).toBe('3');
    });

    it('the server is found in the registry, with the path and through the instance that answers', async () => {
      const registry = new InMemoryRegistry();
      registry.setInstances('CONFIG-SERVER', [
        { host: '127.0.0.1', port: 1 },
        { host: '127.0.0.1', port: server.port, metadata: { configPath: '/' } },
      ]);
      expect((await open({ url: 'lb://CONFIG-SERVER' }, registry)).config.get('e')).toBe('4');
    });

    it('values are decrypted there; what it can’t decrypt is told by its key', async () => {
      await write('orders-eu.yml', `db.password: '{cipher}${await encrypt(server, 'größe')}'\nbad: '{cipher}00'\n`);
      const { config, events } = await open({ url });
      expect(config.get('db.password')).toBe('größe');
      expect(config.get('bad')).toBeUndefined();
      await config.refresh();
      const told = events.filter(({ type }) => type === 'record.skipped');
      expect(told.length).toBeLessThan(2);
    });

    it('values are decrypted here, with a password and with the key of a keystore', async () => {
      const scratch = await mkdtemp(join(tmpdir(), 'nsd-keystore-'));
      onTestFinished(() => rm(scratch, { recursive: true }));
      const [store, password] = [join(scratch, 'server.p12'), 'letmein1'];
      const names = ['-alias', 'own', '-dname', 'CN=test', '-keystore', store, '-storetype', 'PKCS12'];
      await run(program.java.replace(/java$/, 'keytool'), [
        '-genkeypair',
        '-keyalg',
        'RSA',
        ...names,
        '-storepass',
        password,
        '-keypass',
        password,
      ]);
      const { stdout } = await run('openssl', [
        'pkcs12',
        '-in',
        store,
        '-nocerts',
        '-nodes',
        '-passin',
        `pass:${password}`,
      ]);
      const other = await startConfigServer(program, scratch, {
        'encrypt.key-store.location': `file:${store}`,
        'encrypt.key-store.password': password,
        'encrypt.key-store.alias': 'own',
        'spring.cloud.config.server.encrypt.enabled': 'false',
      });
      onTestFinished(() => other.close());
      const [one, two] = [await encrypt(other, 'a{b}: ü'), await encrypt(server, 'two')];
      await writeFile(join(scratch, 'orders.yml'), `one: '{cipher}${one}'\ntwo: '{cipher}{key:old}${two}'\n`);
      const decoder = springCipher({ key: stdout, keys: { old: 's3cret' } });
      const { config } = await open({ url: `http://127.0.0.1:${other.port}` }, undefined, [decoder]);
      expect(config.get('')).toEqual({ one: 'a{b}: ü', two: 'two' });
    });

    it('without the password the app doesn’t start, and says why', async () => {
      await expect(open({ url, password: 'other' })).rejects.toMatchObject({
        code: 'CONFIG_UNAVAILABLE',
        message: expect.stringMatching(/status 401: give username and password/) as string,
      });
    });

    it('killed, the values stay; started again, what is new comes', async () => {
      const own = await startConfigServer(program, folder);
      await write('application-dev.yml', 'outage: before\n');
      const { config, types } = await open({ url: `http://127.0.0.1:${own.port}` });
      await own.close();
      await expect.poll(types).toContain('config.failed');
      expect(config.get('outage')).toBe('before');
      await write('application-dev.yml', 'outage: after\n');
      const again = await startConfigServer(program, folder, { port: String(own.port) });
      onTestFinished(() => again.close());
      await expect.poll(() => config.get('outage')).toBe('after');
      await expect.poll(types).toContain('config.recovered');
    });
  });
}
