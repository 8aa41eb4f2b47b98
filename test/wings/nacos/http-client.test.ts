import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  kmsCipher,
  NacosHttpClient,
  type NacosHttpClientOptions,
  type NacosInstance,
} from '../../../lib/backends/nacos/index.js';
import { md5 } from '../../../lib/backends/nacos/client/signing.js';
import { withServer } from '../../servers/for-tests.js';
import { Closing, freshName, localKeys, optionsFor, stays, until } from './support.js';

withServer('nacos', { variant: 'auth' }, (server) => {
  const closing = new Closing();
  const open = (more: Partial<NacosHttpClientOptions> = {}): NacosHttpClient =>
    closing.add(new NacosHttpClient({ ...optionsFor(server), ...more }));

  describe('configuration over HTTP', () => {
    it('publishes, reads, compares and sets, removes', async () => {
      const client = open();
      const dataId = freshName('doc');
      expect(await client.getConfig(dataId)).toBeUndefined();
      expect(await client.publishConfig(dataId, 'G1', 'Grüße 世界 & +', { type: 'yaml', timeoutMs: 5000 })).toBe(true);
      await until(async () => (await client.getConfig(dataId, 'G1')) === 'Grüße 世界 & +', 'it can be read');
      await expect(client.publishConfig(dataId, 'G1', 'b', { casMd5: md5('never') })).rejects.toMatchObject({
        code: 'CONFIG_CONFLICT',
      });
      await client.publishConfig(dataId, 'G1', 'b', { casMd5: md5('Grüße 世界 & +') });
      expect(await client.removeConfig(dataId, 'G1', { timeoutMs: 5000 })).toBe(true);
      await until(async () => (await client.getConfig(dataId, 'G1')) === undefined, 'it is gone');
      for (const content of ['', undefined as unknown as string]) {
        await expect(client.publishConfig(dataId, undefined, content)).rejects.toMatchObject({
          code: 'INVALID_OPTION',
        });
      }
      await expect(client.getConfig('../evil')).rejects.toMatchObject({ code: 'INVALID_NAME' });
    });

    it('watchers hear what exists, every change and the removal; a slow one holds up nobody', async () => {
      const [writer, reader] = [open(), open({ pullingConfigSize: 2 })];
      const ids = [1, 2, 3, 4, 5].map(() => freshName('watched'));
      const [first = ''] = ids;
      await writer.publishConfig(first, undefined, '1');
      const heard: unknown[] = [];
      const slow = (): Promise<void> => new Promise(() => {});
      const throwing = (): never => {
        throw new Error('from a watcher');
      };
      const watcher = (...args: unknown[]): void => void heard.push(args[3]);
      reader.addConfigWatchers(first, undefined, [slow, throwing, watcher, watcher]);
      const others = new Map<string, unknown>();
      for (const id of ids.slice(1)) {
        reader.addConfigWatchers(id, undefined, [
          (_tenant, dataId, _group, content) => void others.set(dataId, content),
        ]);
      }
      await until(() => heard.length === 2, 'what exists is heard by each');
      await writer.publishConfig(first, undefined, '2');
      await until(() => heard.length === 4, 'the change is heard');
      for (const id of ids.slice(1)) await writer.publishConfig(id, undefined, id);
      await until(() => others.size === 4, 'the items of every question are heard');
      expect(reader.removeConfigWatcher(first, undefined, watcher)).toBe(1);
      await writer.removeConfig(first);
      await until(() => heard.length === 5, 'the removal is heard by the one that is left');
      expect(heard).toEqual(['1', '1', '2', '2', undefined]);
      reader.addConfigWatchers(first, undefined, [watcher, watcher]);
      expect(reader.removeConfigWatcher(first, undefined, watcher, true)).toBe(3);
    });

    it('only so many watchers run at one time', async () => {
      const client = open({ callbackConcurrency: 2 });
      const dataId = freshName('limited');
      await client.publishConfig(dataId, undefined, 'x');
      let [running, most, done] = [0, 0, 0];
      const watcher = async (): Promise<void> => {
        most = Math.max(most, (running += 1));
        await new Promise((resolve) => setTimeout(resolve, 30));
        running -= 1;
        done += 1;
      };
      client.addConfigWatchers(dataId, undefined, [watcher, watcher, watcher, watcher, watcher]);
      await until(() => done === 5, 'all were called');
      expect(most).toBe(2);
    });

    it('failover folder, server, snapshot folder; a snapshot may be copied into the failover folder', async () => {
      const folder = await closing.folder();
      const [failoverBase, snapshotBase] = [join(folder, 'data'), join(folder, 'snapshot')];
      const client = open({ failoverBase, snapshotBase, noSnapshot: false });
      const dataId = freshName('kept');
      await client.publishConfig(dataId, undefined, 'from the server');
      await until(async () => (await client.getConfig(dataId)) === 'from the server', 'it can be read');
      const name = `${dataId}+DEFAULT_GROUP+`;
      expect(await readFile(join(snapshotBase, name), 'utf8')).toBe('from the server');
      await client.publishConfig(dataId, undefined, 'newer');
      await until(async () => (await client.getConfig(dataId, undefined, { noSnapshot: true })) === 'newer', 'newer');
      await mkdir(failoverBase, { recursive: true });
      await copyFile(join(snapshotBase, name), join(failoverBase, name));
      expect(await client.getConfig(dataId)).toBe('from the server');
      await rm(join(failoverBase, name));
      const cut = open({ failoverBase, snapshotBase, noSnapshot: false, serverAddresses: '127.0.0.1:1' });
      expect(await cut.getConfig(dataId)).toBe('from the server');
      cut.setOptions({ noSnapshot: true });
      await expect(cut.getConfig(dataId)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect(await cut.getConfig(dataId, undefined, { noSnapshot: false })).toBe('from the server');
      expect(() => cut.setOptions({ requestTimeoutMs: -1 })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', field: 'requestTimeoutMs' }),
      );
    });
  });

  it('encrypted documents: the encrypted data key is kept beside the snapshot', async () => {
    const folder = await closing.folder();
    const [failoverBase, snapshotBase] = [join(folder, 'data'), join(folder, 'snapshot')];
    const options = {
      failoverBase,
      snapshotBase,
      noSnapshot: false,
      configFilter: kmsCipher({ provider: localKeys() }),
    };
    const client = open(options);
    const dataId = `cipher-kms-aes-256-${freshName('secret')}`;
    await client.publishConfig(dataId, undefined, 'a secret');
    await until(async () => (await client.getConfig(dataId)) === 'a secret', 'it can be read');
    const name = `${dataId}+DEFAULT_GROUP+`;
    expect(await readFile(join(snapshotBase, name), 'utf8')).not.toContain('a secret');
    const cut = open({ ...options, serverAddresses: '127.0.0.1:1' });
    expect(await cut.getConfig(dataId)).toBe('a secret');
    await client.removeConfig(dataId);
    await until(async () => (await client.getConfig(dataId)) === undefined, 'it is gone');
    await expect(cut.getConfig(dataId)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
  });

  it('namespaces keep everything apart', async () => {
    const [one, other] = [open({ namespace: freshName('ns') }), open({ namespace: freshName('ns') })];
    const [dataId, serviceName] = [freshName('doc'), freshName('apart')];
    await one.publishConfig(dataId, undefined, 'mine');
    await one.addNamingInstance({ serviceName, ip: '1.1.1.1', port: 1 });
    await until(async () => (await one.getConfig(dataId)) === 'mine', 'it can be read');
    await until(async () => (await one.listNamingInstances({ serviceName })).hosts.length === 1, 'it is listed');
    expect(await other.getConfig(dataId)).toBeUndefined();
    expect((await other.listNamingInstances({ serviceName })).hosts).toEqual([]);
    expect((await other.listServices()).count).toBe(0);
    const heard: unknown[][] = [];
    one.addConfigWatchers(dataId, undefined, [(...args) => void heard.push(args)]);
    await until(() => heard.length === 1, 'it is heard');
    await one.publishConfig(dataId, undefined, 'newer');
    await until(() => heard.length === 2, 'the change is heard');
    expect(heard[1]?.slice(1)).toEqual([dataId, 'DEFAULT_GROUP', 'newer']);
  });

  describe('naming over HTTP', () => {
    it('registers with beats, lists, shows, modifies and deregisters', async () => {
      const client = open();
      const serviceName = freshName('http');
      const one = { serviceName, ip: '1.1.1.1', port: 7001, clusterName: 'c1', weight: 1.5 };
      await client.addNamingInstance({ ...one, metadata: '{"a":"b","n":5}' }, { heartbeatIntervalMs: 'auto' });
      await client.addNamingInstance({ ...one, port: 7002, healthy: false, metadata: { c: 'd' } });
      await until(
        async () => (await client.listNamingInstances({ serviceName })).hosts.length === 2,
        'both are listed',
      );
      const { hosts } = await client.listNamingInstances({ serviceName, clusters: 'c1,c2' });
      expect(hosts.map((host) => host.metadata['a'] ?? host.metadata['c'])).toEqual(['b', 'd']);
      expect((await client.listNamingInstances({ serviceName, clusters: ['c2'] })).hosts).toEqual([]);
      expect((await client.listNamingInstances({ serviceName, namespaceId: freshName('ns') })).hosts).toEqual([]);
      const healthy = await client.listNamingInstances({ serviceName, healthyOnly: true });
      expect(healthy.hosts.map((host) => host.port)).toContain(7001);
      expect(await client.getNamingInstance(one)).toMatchObject({ ip: '1.1.1.1', port: 7001, weight: 1.5 });
      await expect(client.getNamingInstance({ ...one, port: 9999 })).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
      await client.modifyNamingInstance({ ...one, weight: 4, metadata: { a: 'z' } });
      await until(async () => (await client.getNamingInstance(one)).weight === 4, 'it is modified');
      expect((await client.listServices({ pageSize: 500 })).services).toContain(serviceName);
      await client.removeNamingInstance(one);
      await client.removeNamingInstance({ ...one, port: 7002 });
      await until(async () => (await client.listNamingInstances({ serviceName })).hosts.length === 0, 'both are gone');
      for (const metadata of ['{', '[]', '5']) {
        await expect(client.addNamingInstance({ ...one, metadata })).rejects.toMatchObject({
          code: 'INVALID_INSTANCE',
          field: 'metadata',
        });
      }
    });

    it('beats keep an instance, a forgotten one is registered again, without beats it expires', async () => {
      const client = open();
      const serviceName = freshName('beating');
      const quick = {
        'preserved.heart.beat.interval': '1000',
        'preserved.heart.beat.timeout': '2000',
        'preserved.ip.delete.timeout': '4000',
      };
      const [kept, lost] = [1, 2].map((port) => ({ serviceName, ip: '1.1.1.1', port, metadata: quick }));
      if (kept === undefined || lost === undefined) throw new Error('two were made');
      await client.addNamingInstance(kept, { heartbeatIntervalMs: 500 });
      await client.addNamingInstance(lost);
      const list = async (): Promise<number[]> =>
        (await client.listNamingInstances({ serviceName })).hosts.map((host) => host.port);
      await until(async () => String(await list()) === '1,2', 'both are there');
      expect(await client.sendHeartbeat(lost)).toMatchObject({ known: true, intervalMs: 1000 });
      await until(async () => String(await list()) === '1', 'the one without beats has expired', 20_000);
      const other = open();
      await other.removeNamingInstance(kept);
      await until(async () => String(await list()) === '1', 'the forgotten one is registered again');
      await client.removeNamingInstance(kept);
      await until(async () => (await list()).length === 0, 'it is gone');
      await stays(() => true, 'longer than a beat', 1200);
      expect(await list()).toEqual([]);
    });

    it('subscribers hear each instance that changes, until they unsubscribe by name', async () => {
      const [writer, reader] = [open(), open()];
      const serviceName = freshName('polled');
      const one = { serviceName, ip: '1.1.1.1', port: 1 };
      await writer.addNamingInstance(one, { heartbeatIntervalMs: 1000 });
      const heard: string[] = [];
      const listener = (event: string, instance: NacosInstance): void =>
        void heard.push(`${event} ${instance.port} ${instance.metadata['v'] ?? ''}`);
      await reader.subscribe({ serviceName, listener, intervalMs: 100 });
      await until(() => heard.length === 1, 'what is there is heard');
      await writer.addNamingInstance({ ...one, port: 2 }, { heartbeatIntervalMs: 1000 });
      await until(() => heard.length === 2, 'the addition is heard');
      await writer.addNamingInstance({ ...one, metadata: { v: '2' } }, { heartbeatIntervalMs: 1000 });
      await until(() => heard.includes('MODIFIED 1 2'), 'the change is heard');
      await writer.removeNamingInstance({ ...one, port: 2 });
      await until(() => heard.includes('DELETED 2 '), 'the removal is heard');
      expect(heard.slice(0, 2)).toEqual(['ADDED 1 ', 'ADDED 2 ']);
      await reader.unsubscribe(serviceName, 'another');
      await writer.removeNamingInstance(one);
      await until(() => heard.at(-1)?.startsWith('DELETED 1') === true, 'it was another that was unsubscribed');
      await reader.unsubscribe(serviceName, 'listener');
      const count = heard.length;
      await writer.addNamingInstance(one);
      await stays(() => heard.length === count, 'nothing is heard any more');
      const anonymous = reader.subscribe({ serviceName, listener: (() => () => {})() });
      await expect(anonymous).rejects.toMatchObject({ code: 'INVALID_NAME', field: 'listenerName' });
      await reader.subscribe({ serviceName, listener: (() => () => {})(), listenerName: 'mine', intervalMs: 100 });
      await reader.stopSubscribe();
    });
  });

  it('goes through a proxy, which may be set later', async () => {
    const asked: string[] = [];
    const proxy = createServer((incoming, outgoing) => {
      asked.push(incoming.url ?? '');
      const forward = httpRequest(
        incoming.url ?? '',
        { method: incoming.method, headers: incoming.headers },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        },
      );
      incoming.pipe(forward);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = proxy.address() as { port: number };
      const client = open();
      expect(await client.getConfig(freshName('none'))).toBeUndefined();
      expect(asked).toEqual([]);
      client.setOptions({ proxies: { http: `127.0.0.1:${port}` } });
      expect(await client.getConfig(freshName('none'))).toBeUndefined();
      expect(asked[0]).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/nacos\//);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  it('of several addresses, mixed with and without scheme, the next is asked when one is down', async () => {
    const { host, port } = new URL(server.url);
    const client = open({ serverAddresses: `127.0.0.1:1, http://${host},https://127.0.0.1:2` });
    expect(port).not.toBe('');
    for (let index = 0; index < 5; index += 1) expect(await client.getConfig(freshName('none'))).toBeUndefined();
  });

  it('after close nothing goes on', async () => {
    const client = open();
    client.addConfigWatchers(freshName('closed'), undefined, [() => {}]);
    await client.close();
    await expect(client.getConfig('a')).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    expect(() => client.addConfigWatchers('a', undefined, [])).toThrow(
      expect.objectContaining({ code: 'BACKEND_CLOSED' }),
    );
  });
});
