import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  kmsCipher,
  NacosClient,
  NacosConfigService,
  NacosNamingService,
  type NacosClientOptions,
  type NacosInstance,
  type NacosInstancesChange,
} from '../../../lib/backends/nacos/index.js';
import { md5 } from '../../../lib/backends/nacos/client/signing.js';
import { withServer } from '../../servers/for-tests.js';
import { Closing, freshName, localKeys, optionsFor, stays, until } from './support.js';

for (const variant of ['auth', '3'] as const) {
  withServer('nacos', { variant }, (server) => {
    const closing = new Closing();
    const open = async (more: Partial<NacosClientOptions> = {}): Promise<NacosClient> => {
      const client = closing.add(new NacosClient({ ...optionsFor(server), ...more }));
      await client.start();
      return client;
    };
    const ports = (list: readonly NacosInstance[]): number[] => list.map((one) => one.port).sort((a, b) => a - b);

    describe('naming', () => {
      it('registers, updates, reads and deregisters with every field', async () => {
        const [writer, reader] = [await open(), await open()];
        const serviceName = freshName('all-fields');
        const instance = {
          serviceName,
          groupName: 'G1',
          ip: '1.1.1.1',
          port: 7001,
          weight: 2.5,
          clusterName: 'c1',
          metadata: { a: 'b', città: '世界' },
        };
        await writer.naming.registerInstance(instance);
        await until(
          async () => (await reader.naming.getService({ serviceName, groupName: 'G1' })).hosts.length === 1,
          'it is there',
        );
        const { hosts } = await reader.naming.getService({ serviceName, groupName: 'G1' });
        const { serviceName: _service, groupName: _group, ...fields } = instance;
        expect(hosts[0]).toMatchObject({ ...fields, healthy: true, enabled: true, ephemeral: true });
        expect((await reader.naming.getService({ serviceName })).hosts).toEqual([]);
        expect((await reader.naming.getService({ serviceName, groupName: 'G1', clusters: ['c2'] })).hosts).toEqual([]);
        await writer.naming.updateInstance({ ...instance, weight: 3, metadata: { a: 'c' } });
        await until(async () => {
          const [one] = (await reader.naming.getService({ serviceName, groupName: 'G1' })).hosts;
          return one?.weight === 3 && one.metadata['a'] === 'c' && one.metadata['città'] === undefined;
        }, 'the update is there');
        await writer.naming.deregisterInstance(instance);
        await until(
          async () => (await reader.naming.getService({ serviceName, groupName: 'G1' })).hosts.length === 0,
          'it is gone',
        );
      });

      it('a batch, of which one instance is unhealthy: listed as healthy, unhealthy and all', async () => {
        const [writer, reader] = [await open(), await open()];
        const serviceName = freshName('batch');
        const make = (port: number, healthy = true) => ({ ip: '1.1.1.1', port, healthy, clusterName: 'c1' });
        await writer.naming.batchRegisterInstances({ serviceName, instances: [make(1), make(2), make(3, false)] });
        const list = async (healthyOnly?: boolean | null): Promise<number[]> =>
          ports(
            await reader.naming.listInstances({ serviceName, ...(healthyOnly === undefined ? {} : { healthyOnly }) }),
          );
        await until(async () => (await list()).length === 3, 'all are there');
        expect(await list(true)).toEqual([1, 2]);
        expect(await list(false)).toEqual([3]);
        expect(await list()).toEqual([1, 2, 3]);
        expect(await list(null)).toEqual([1, 2, 3]);
        // The original's parameter is another one here; a filter that nobody knows must not be passed over.
        await expect(reader.naming.listInstances({ serviceName, clusterName: 'c2' } as never)).rejects.toMatchObject({
          code: 'INVALID_OPTION',
          field: 'clusterName',
        });
        expect(await reader.naming.listInstances({ serviceName, clusters: ['c1'], subscribe: false })).toHaveLength(3);
        const picked = new Set<number | undefined>();
        for (let index = 0; index < 50; index += 1) {
          picked.add((await reader.naming.selectOneHealthyInstance({ serviceName }))?.port);
        }
        expect([...picked].sort()).toEqual([1, 2]);
        await writer.naming.batchDeregisterInstances({ serviceName, instances: [make(1), make(3)] });
        await until(async () => String(await list()) === '2', 'one is left');
        await expect(writer.naming.batchRegisterInstances({ serviceName, instances: [] })).rejects.toMatchObject({
          code: 'INVALID_INSTANCE',
        });
      });

      it('an instance that is not enabled is hidden', async () => {
        const client = await open();
        const serviceName = freshName('hidden');
        await client.naming.batchRegisterInstances({
          serviceName,
          instances: [
            { ip: '1.1.1.1', port: 1 },
            { ip: '1.1.1.1', port: 2, enabled: false },
          ],
        });
        await until(async () => (await client.naming.getService({ serviceName })).hosts.length > 0, 'it is there');
        expect(ports((await client.naming.getService({ serviceName })).hosts)).toEqual([1]);
      });

      it('persistent instances outlive the client', async () => {
        const serviceName = freshName('persistent');
        const instance = { serviceName, ip: '1.1.1.1', port: 7003, ephemeral: false };
        const first = await open();
        await first.naming.registerInstance(instance);
        await first.close();
        const second = await open();
        await until(
          async () => (await second.naming.getService({ serviceName })).hosts[0]?.ephemeral === false,
          'it is still there',
        );
        await second.naming.deregisterInstance(instance);
        await until(async () => (await second.naming.getService({ serviceName })).hosts.length === 0, 'it is gone');
      });

      it('subscribers hear the list and the difference, until they unsubscribe', async () => {
        const [writer, reader] = [await open(), await open()];
        const serviceName = freshName('subscribed');
        const heard: { list: number[]; change: NacosInstancesChange }[] = [];
        const listener = (list: readonly NacosInstance[], change: NacosInstancesChange): void => {
          heard.push({ list: ports(list), change });
          if (heard.length === 1) throw new Error('from a listener');
        };
        await reader.naming.subscribe({ serviceName, clusters: ['c1'], listener });
        const one = { serviceName, ip: '1.1.1.1', port: 1, clusterName: 'c1' };
        await writer.naming.registerInstance(one);
        await until(() => heard.length === 1, 'the addition is heard');
        expect(ports(heard[0]?.change.added ?? [])).toEqual([1]);
        await writer.naming.registerInstance({ ...one, port: 2, clusterName: 'c2' });
        await writer.naming.updateInstance({ ...one, weight: 5 });
        await until(() => heard.length === 2, 'the change is heard');
        expect(heard[1]?.change.changed[0]?.weight).toBe(5);
        expect(heard[1]?.list).toEqual([1]);
        await writer.naming.deregisterInstance(one);
        await until(() => heard.at(-1)?.list.length === 0, 'the removal is heard');
        expect(ports(heard.at(-1)?.change.removed ?? [])).toEqual([1]);
        await reader.naming.unsubscribe({ serviceName, clusters: ['c1'], listener });
        const before = heard.length;
        await writer.naming.registerInstance(one);
        await until(async () => (await reader.naming.getService({ serviceName })).hosts.length === 2, 'it is there');
        await stays(() => heard.length === before, 'nothing is heard any more', 800);
      });

      it('services are listed page by page, and namespaces and groups keep them apart', async () => {
        const client = await open();
        const group = freshName('G');
        const names = [1, 2, 3].map(() => freshName('paged'));
        for (const serviceName of names) {
          await client.naming.registerInstance({ serviceName, groupName: group, ip: '1.1.1.1', port: 1 });
        }
        await until(
          async () => (await client.naming.listServices({ groupName: group })).count === 3,
          'all are counted',
        );
        const pages = await Promise.all(
          [1, 2].map((pageNo) => client.naming.listServices({ groupName: group, pageNo, pageSize: 2 })),
        );
        expect(pages.map((page) => page.services.length)).toEqual([2, 1]);
        expect(pages.flatMap((page) => page.services).sort()).toEqual([...names].sort());
        const elsewhere = await open({ namespace: freshName('ns') });
        expect((await elsewhere.naming.listServices({ groupName: group })).count).toBe(0);
      });

      it('what the server refuses is an error with its words, and is not repeated', async () => {
        const client = await open();
        const serviceName = freshName('refused');
        const instance = { serviceName, ip: '1.1.1.1', port: 1, metadata: { long: 'x'.repeat(2000) } };
        await expect(client.naming.registerInstance(instance)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
        expect(client.naming.publications.size).toBe(0);
        await expect(client.naming.registerInstance({ ...instance, serviceName: 'a@@b' })).rejects.toMatchObject({
          code: 'INVALID_NAME',
        });
      });
    });

    describe('configuration', () => {
      it('publishes, reads, compares and sets, removes', async () => {
        const [writer, reader] = [await open(), await open()];
        const dataId = freshName('doc');
        expect(await reader.config.getConfig({ dataId })).toBeUndefined();
        expect(await writer.config.publishConfig({ dataId, content: 'Grüße 世界', type: 'text' })).toBe(true);
        await until(async () => (await reader.config.getConfig({ dataId })) === 'Grüße 世界', 'it can be read');
        const stale = writer.config.publishConfig({ dataId, content: 'b', casMd5: md5('never') });
        await expect(stale).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' });
        await writer.config.publishConfig({ dataId, content: 'b', casMd5: md5('Grüße 世界') });
        await until(async () => (await reader.config.getConfig({ dataId })) === 'b', 'the new one can be read');
        expect(await writer.config.removeConfig({ dataId })).toBe(true);
        await until(async () => (await reader.config.getConfig({ dataId })) === undefined, 'it is gone');
        expect(await writer.config.removeConfig({ dataId })).toBe(true);
        for (const content of ['', ' ', undefined as unknown as string]) {
          await expect(writer.config.publishConfig({ dataId, content })).rejects.toMatchObject({
            code: 'INVALID_OPTION',
            message: expect.stringContaining('removeConfig') as string,
          });
        }
      });

      it('listeners hear what exists, every change and the removal; a throwing one hurts nobody', async () => {
        const [writer, reader] = [await open(), await open()];
        const dataId = freshName('heard');
        await writer.config.publishConfig({ dataId, content: '1' });
        const heard: unknown[][] = [];
        const listener = (...args: unknown[]): void => void heard.push(args);
        await reader.config.addListener(dataId, undefined, () => {
          throw new Error('from a listener');
        });
        await reader.config.addListener(dataId, undefined, listener);
        await until(() => heard.length === 1, 'what exists is heard');
        await writer.config.publishConfig({ dataId, content: '2' });
        await until(() => heard.length === 2, 'the change is heard');
        await writer.config.removeConfig({ dataId });
        await until(() => heard.length === 3, 'the removal is heard');
        expect(heard).toEqual(['1', '2', undefined].map((content) => ['', dataId, 'DEFAULT_GROUP', content]));
        expect(await reader.config.removeListener(dataId, undefined, listener)).toBe(true);
        expect(await reader.config.removeListener(dataId, undefined, listener)).toBe(false);
        const control: unknown[] = [];
        await reader.config.addListener(dataId, undefined, (...args) => void control.push(args[3]));
        await writer.config.publishConfig({ dataId, content: '3' });
        await until(() => control.length === 1, 'another listener hears on');
        expect(heard).toHaveLength(3);
      });

      it('in a namespace of its own, listened to by hundreds at once', async () => {
        const namespace = freshName('ns');
        const [writer, reader] = [await open({ namespace }), await open({ namespace })];
        const heard = new Map<string, string | undefined>();
        const ids = Array.from({ length: 300 }, (_, index) => `${namespace}-${index}`);
        for (const dataId of ids) {
          await reader.config.addListener(dataId, 'G3', (tenant, id, _group, content) => {
            expect(tenant).toBe(namespace);
            heard.set(id, content);
          });
        }
        const some = ids.filter((_, index) => index % 50 === 0);
        for (const dataId of some) await writer.config.publishConfig({ dataId, group: 'G3', content: dataId });
        await until(() => heard.size === some.length, 'those that were published are heard');
        for (const dataId of some) expect(heard.get(dataId)).toBe(dataId);
      });

      it('failover file, server, snapshot: in this order, in the files of the other SDKs', async () => {
        const cacheDirectory = await closing.folder();
        const client = await open({ cacheDirectory, noSnapshot: false });
        const dataId = freshName('kept');
        await client.config.publishConfig({ dataId, content: 'from the server' });
        await until(async () => (await client.config.getConfig({ dataId })) === 'from the server', 'it can be read');
        const file = join(cacheDirectory, 'config', `${dataId}@@DEFAULT_GROUP@@`);
        expect(await readFile(file, 'utf8')).toBe('from the server');
        await writeFile(`${file}_failover`, 'from an operator');
        expect(await client.config.getConfig({ dataId })).toBe('from an operator');
        const cut = await open({
          cacheDirectory,
          noSnapshot: false,
          serverAddresses: '127.0.0.1:1',
          requestTimeoutMs: 300,
        });
        expect(await cut.config.getConfig({ dataId })).toBe('from an operator');
        await writeFile(`${file}_failover`, '');
        expect(await cut.config.getConfig({ dataId })).toBe('');
        await rm(`${file}_failover`);
        expect(await cut.config.getConfig({ dataId })).toBe('from the server');
        const without = cut.config.getConfig({ dataId, noSnapshot: true });
        await expect(without).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
        await client.config.removeConfig({ dataId });
        await until(async () => (await client.config.getConfig({ dataId })) === undefined, 'it is gone');
        expect(await readdir(join(cacheDirectory, 'config'))).not.toContain(`${dataId}@@DEFAULT_GROUP@@`);
      });

      it('names that are too long for one file are read without a snapshot, and what is no name is refused', async () => {
        const cacheDirectory = await closing.folder();
        const client = await open({ cacheDirectory, noSnapshot: false });
        const [dataId, group] = [freshName('long').padEnd(200, 'x'), 'g'.repeat(100)];
        const heard: (string | undefined)[] = [];
        await client.config.addListener(dataId, group, (_tenant, _id, _group, content) => void heard.push(content));
        await client.config.publishConfig({ dataId, group, content: 'x' });
        await until(() => heard.length === 1, 'it is heard');
        expect(await client.config.getConfig({ dataId, group })).toBe('x');
        await client.config.removeConfig({ dataId, group });
        for (const bad of ['../evil', 'a/b', 'a\\b', '..', '', 'a\0', 'x'.repeat(257)]) {
          await expect(client.config.getConfig({ dataId: bad })).rejects.toMatchObject({ code: 'INVALID_NAME' });
          await expect(client.config.publishConfig({ dataId: bad, content: 'x' })).rejects.toThrow(/dataId/);
        }
      });

      it('a content that is longer than a message may be is an error; the connection is kept', async () => {
        const [writer, reader] = [await open(), await open({ grpc: { maxReceiveMessageLength: 20_000 } })];
        const dataId = freshName('large');
        await writer.config.publishConfig({ dataId, content: 'x'.repeat(50_000) });
        await until(async () => (await writer.config.getConfig({ dataId }))?.length === 50_000, 'it can be read');
        await expect(reader.config.getConfig({ dataId })).rejects.toThrow(/larger than max/);
        await writer.config.publishConfig({ dataId, content: 'short' });
        await until(async () => (await reader.config.getConfig({ dataId })) === 'short', 'a shorter one can be read');
        expect(reader.parts.rpc.epoch).toBe(1);
        await writer.config.removeConfig({ dataId });
      });

      it('encrypted documents: the server and the disk never see the text', async () => {
        const cacheDirectory = await closing.folder();
        const options = { configFilter: kmsCipher({ provider: localKeys() }), cacheDirectory, noSnapshot: false };
        const [client, plain] = [await open(options), await open()];
        for (const prefix of ['cipher-kms-aes-128-', 'cipher-kms-aes-256-', 'cipher-', '']) {
          const dataId = `${prefix}${freshName('secret')}`;
          const heard: (string | undefined)[] = [];
          await client.config.addListener(
            dataId,
            undefined,
            (_tenant, _id, _group, content) => void heard.push(content),
          );
          await client.config.publishConfig({ dataId, content: 'a secret' });
          await until(() => heard.includes('a secret'), 'the listener reads it');
          expect(await client.config.getConfig({ dataId })).toBe('a secret');
          const item = await plain.config.query({ dataId, group: 'DEFAULT_GROUP', tenant: '' });
          expect(item?.content === 'a secret').toBe(prefix === '');
          expect(item?.encryptedDataKey !== undefined).toBe(prefix.includes('aes'));
          const kept = await readFile(join(cacheDirectory, 'config', `${dataId}@@DEFAULT_GROUP@@`), 'utf8');
          expect(kept).toBe(item?.content);
          // The next run has only the disk: the encrypted data key was kept beside the content.
          const cut = await open({ ...options, serverAddresses: '127.0.0.1:1', requestTimeoutMs: 200 });
          expect(await cut.config.getConfig({ dataId })).toBe('a secret');
          await client.config.removeConfig({ dataId });
        }
      });
    });

    it('the services work alone, and close ends them', async () => {
      const config = closing.add(await NacosConfigService.create(optionsFor(server)));
      const naming = closing.add(await NacosNamingService.create(optionsFor(server)));
      expect(config.serverHealth() && naming.serverHealth()).toBe(true);
      expect(await config.getConfig({ dataId: freshName('none') })).toBeUndefined();
      await Promise.all([config.close(), naming.close()]);
      expect(config.serverHealth() || naming.serverHealth()).toBe(false);
      await expect(config.getConfig({ dataId: 'a' })).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      await expect(naming.getService({ serviceName: 'a' })).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    });

    it('the naming cache is there before any server is', async () => {
      const cacheDirectory = await closing.folder();
      await mkdir(join(cacheDirectory, 'naming', 'public'), { recursive: true });
      const client = await open({ cacheDirectory, loadCacheAtStart: true });
      const serviceName = freshName('cached');
      await client.naming.registerInstance({ serviceName, ip: '1.1.1.1', port: 9 });
      await until(async () => (await client.naming.listInstances({ serviceName })).length === 1, 'it is listed');
      await until(
        () => readFile(join(cacheDirectory, 'naming', 'public', `DEFAULT_GROUP@@${serviceName}`)),
        'it is kept',
      );
      const cut = await open({
        cacheDirectory,
        loadCacheAtStart: true,
        serverAddresses: '127.0.0.1:1',
        requestTimeoutMs: 300,
      });
      const heard: number[][] = [];
      const subscribed = cut.naming.subscribe({ serviceName, listener: (list) => void heard.push(ports(list)) });
      await expect(subscribed).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect(heard).toEqual([[9]]);
    });
  });
}
