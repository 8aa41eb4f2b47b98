import { createServer, request as httpRequest, type Server } from 'node:http';
import { expect, it } from 'vitest';
import { md5 } from '../../../lib/backends/nacos/client/signing.js';
import { NacosClient, NacosHttpClient, type NacosHttpClientOptions } from '../../../lib/backends/nacos/index.js';
import { withServer } from '../../servers/for-tests.js';
import { Closing, freshName, optionsFor, until } from './support.js';

withServer('nacos', { variant: '3' }, (server) => {
  const closing = new Closing();
  const httpClient = (more: Partial<NacosHttpClientOptions> = {}): NacosHttpClient =>
    closing.add(new NacosHttpClient({ ...optionsFor(server), pullingTimeoutMs: 1000, ...more }));
  const grpcClient = async (): Promise<NacosClient> => {
    const client = closing.add(new NacosClient(optionsFor(server)));
    await client.start();
    return client;
  };
  const count = async (client: NacosClient, serviceName: string): Promise<number> =>
    (await client.naming.getService({ serviceName })).hosts.length;

  /** In front of a real 3.x: what 3.2 has dropped is not found, as long as it is told so. */
  const front = async (): Promise<{ port: number; asked: string[]; drops: 'v1' | 'v3' }> => {
    const state = { port: 0, asked: [] as string[], drops: 'v1' as 'v1' | 'v3' };
    const proxy: Server = createServer((incoming, outgoing) => {
      const path = incoming.url ?? '';
      state.asked.push(`${incoming.method ?? ''} ${path}`);
      if (path.startsWith(`/nacos/${state.drops}/`) && !path.includes('/auth/')) {
        outgoing.writeHead(404, { 'Content-Type': 'application/json' });
        outgoing.end(JSON.stringify({ timestamp: 'now', status: 404, error: 'Not Found', path }));
        return;
      }
      const target = new URL(path, server.url);
      const forward = httpRequest(target, { method: incoming.method, headers: incoming.headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      forward.on('error', () => outgoing.destroy());
      incoming.pipe(forward);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    closing.add({
      close: async () => {
        proxy.closeAllConnections();
        await new Promise((resolve) => proxy.close(resolve));
      },
    });
    state.port = (proxy.address() as { port: number }).port;
    return state;
  };

  it('3.1 itself has dropped showing and changing one instance: its newest API does it', async () => {
    const [http, grpc] = [httpClient(), await grpcClient()];
    const serviceName = freshName('modified');
    const instance = { serviceName, ip: '1.1.1.1', port: 1, clusterName: 'c1', metadata: { a: 'b' } };
    await http.addNamingInstance(instance, { heartbeatIntervalMs: 1000 });
    await until(async () => (await count(grpc, serviceName)) === 1, 'it is registered');
    expect(await http.getNamingInstance(instance)).toMatchObject({ port: 1, clusterName: 'c1', metadata: { a: 'b' } });
    await http.modifyNamingInstance({ ...instance, weight: 4, metadata: { a: 'z' } });
    await until(async () => (await http.getNamingInstance(instance)).weight === 4, 'it is modified');
    expect((await grpc.naming.getService({ serviceName })).hosts[0]?.metadata['a']).toBe('z');
    const unknown = http.getNamingInstance({ ...instance, port: 9 });
    await expect(unknown).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
    await http.removeNamingInstance(instance);
  });

  it('a wrong password is an error, and no storm of logins', async () => {
    const { port, asked } = await front();
    const http = httpClient({ serverAddresses: `127.0.0.1:${port}`, password: 'wrong' });
    for (let index = 0; index < 20; index += 1) await expect(http.getConfig('a')).rejects.toThrow(/password/);
    expect(asked.filter((one) => one.includes('/auth/')).length).toBeLessThanOrEqual(2);
    const grpc = closing.add(new NacosClient({ ...optionsFor(server), password: 'wrong' }));
    await grpc.start();
    await expect(grpc.config.getConfig({ dataId: 'a' })).rejects.toThrow(/password/);
  });

  it('a server that has dropped the first HTTP API altogether: everything works over its newest', async () => {
    const { port, asked } = await front();
    const grpc = await grpcClient();
    const http = httpClient({ serverAddresses: `127.0.0.1:${port}` });
    const dataId = freshName('newer');
    expect(await http.getConfig(dataId)).toBeUndefined();
    await grpc.config.publishConfig({ dataId, content: '1' });
    await until(async () => (await http.getConfig(dataId)) === '1', 'it can be read');
    const heard: unknown[] = [];
    http.addConfigWatchers(dataId, undefined, [(...args) => void heard.push(args[3])]);
    await until(() => heard.length === 1, 'what exists is heard');
    await grpc.config.publishConfig({ dataId, content: '2' });
    await until(() => heard.at(-1) === '2', 'the change is heard');
    await http.publishConfig(dataId, undefined, '3', { type: 'yaml', srcUser: 'me', configTags: 'one,two' });
    await until(() => heard.at(-1) === '3', 'what it publishes is heard');
    expect(await grpc.config.query({ dataId, group: 'DEFAULT_GROUP', tenant: '' })).toMatchObject({ type: 'yaml' });
    const stale = http.publishConfig(dataId, undefined, '4', { casMd5: md5('never') });
    await expect(stale).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' });
    await http.publishConfig(dataId, undefined, '4', { casMd5: md5('3') });
    await http.removeConfig(dataId);
    await until(() => heard.at(-1) === undefined, 'the removal is heard');

    const serviceName = freshName('newer');
    const group = freshName('G');
    const instance = { serviceName, groupName: group, ip: '1.1.1.1', port: 1, clusterName: 'c1' };
    await http.addNamingInstance(instance, { heartbeatIntervalMs: 1000 });
    await http.addNamingInstance({ ...instance, groupName: `${group}2` });
    const list = async (clusters: string): Promise<number> =>
      (await http.listNamingInstances({ serviceName, groupName: group, clusters })).hosts.length;
    await until(async () => (await list('c1,c2')) === 1, 'it is registered');
    expect(await list('c2')).toBe(0);
    expect(await http.listServices({ groupName: group })).toEqual({ count: 1, services: [serviceName] });
    expect(await http.listServices({ groupName: group, pageNo: 2 })).toEqual({ count: 1, services: [] });
    expect(await http.sendHeartbeat(instance)).toMatchObject({ known: true });
    expect(await http.sendHeartbeat({ ...instance, port: 9 })).toMatchObject({ known: false });
    await http.removeNamingInstance(instance);
    await until(async () => (await list('c1')) === 0, 'it is gone');
    await http.removeNamingInstance({ ...instance, groupName: `${group}2` });
    expect(asked.some((path) => path.includes('/nacos/v3/client/'))).toBe(true);
  });

  it('servers that know only the first API again are spoken to in it again', async () => {
    const state = await front();
    const http = httpClient({ serverAddresses: `127.0.0.1:${state.port}` });
    const dataId = freshName('back');
    expect(await http.getConfig(dataId)).toBeUndefined();
    expect(state.asked.at(-1)).toContain('/v3/client/cs/config');
    // Such as a gateway that had lost its way, or a server that was taken back to its former version.
    state.drops = 'v3';
    for (const _ of [1, 2]) expect(await http.getConfig(dataId)).toBeUndefined();
    expect(state.asked.slice(-2).map((one) => one.split('?')[0])).toEqual(Array(2).fill('GET /nacos/v1/cs/configs'));
  });
});
