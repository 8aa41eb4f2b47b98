import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import {
  kmsCipher,
  nacos,
  NacosClient,
  NacosHttpClient,
  type NacosInstance,
} from '../../../lib/backends/nacos/index.js';
import { createRegistration, defined } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import type { RunningServer } from '../../servers/types.js';
import { Closing, freshName, localKeys, optionsFor, until } from './support.js';

interface Address {
  readonly serviceName: string;
  readonly groupName: string;
  readonly ip: string;
  readonly port: number;
  readonly clusterName?: string;
  readonly weight?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What two clients exchange, whatever they speak. */
interface Party {
  register(instance: Address): Promise<unknown>;
  deregister(instance: Address): Promise<unknown>;
  list(serviceName: string, groupName: string): Promise<readonly NacosInstance[]>;
  services(groupName: string): Promise<readonly string[]>;
  /** Calls back with each port that came, changed or went. */
  follow(serviceName: string, groupName: string, heard: (what: string) => void): Promise<void>;
  publish(dataId: string, group: string, content: string): Promise<unknown>;
  read(dataId: string, group: string): Promise<string | undefined>;
  remove(dataId: string, group: string): Promise<unknown>;
  listen(dataId: string, group: string, heard: (content: string | undefined) => void): Promise<void> | void;
}

const configFilter = kmsCipher({ provider: localKeys() });

/** @param namespace the public one if left out */
const grpc = async (server: RunningServer, closing: Closing, namespace?: string): Promise<Party> => {
  const client = closing.add(new NacosClient({ ...optionsFor(server), configFilter, ...defined({ namespace }) }));
  await client.start();
  const { naming, config } = client;
  return {
    register: (instance) => naming.registerInstance(instance),
    deregister: (instance) => naming.deregisterInstance(instance),
    list: async (serviceName, groupName) => (await naming.getService({ serviceName, groupName })).hosts,
    services: async (groupName) => (await naming.listServices({ groupName })).services,
    follow: (serviceName, groupName, heard) =>
      naming.subscribe({
        serviceName,
        groupName,
        listener: (_list, { added, changed, removed }) => {
          for (const one of added) heard(`ADDED ${one.port}`);
          for (const one of changed) heard(`MODIFIED ${one.port} ${one.weight}`);
          for (const one of removed) heard(`DELETED ${one.port}`);
        },
      }),
    publish: (dataId, group, content) => config.publishConfig({ dataId, group, content }),
    read: (dataId, group) => config.getConfig({ dataId, group }),
    remove: (dataId, group) => config.removeConfig({ dataId, group }),
    listen: (dataId, group, heard) => config.addListener(dataId, group, (_tenant, _id, _group, text) => heard(text)),
  };
};

const http = (server: RunningServer, closing: Closing, namespace: string): Promise<Party> => {
  const client = closing.add(new NacosHttpClient({ ...optionsFor(server), configFilter, namespace }));
  return Promise.resolve({
    register: (instance) => client.addNamingInstance(instance, { heartbeatIntervalMs: 1000 }),
    deregister: (instance) => client.removeNamingInstance(instance),
    list: async (serviceName, groupName) => (await client.listNamingInstances({ serviceName, groupName })).hosts,
    services: async (groupName) => (await client.listServices({ groupName })).services,
    follow: (serviceName, groupName, heard) =>
      client.subscribe({
        serviceName,
        groupName,
        listenerName: 'exchange',
        intervalMs: 100,
        listener: (event, { port, weight }) => heard(`${event} ${port}${event === 'MODIFIED' ? ` ${weight}` : ''}`),
      }),
    publish: (dataId, group, content) => client.publishConfig(dataId, group, content),
    read: (dataId, group) => client.getConfig(dataId, group),
    remove: (dataId, group) => client.removeConfig(dataId, group),
    listen: (dataId, group, heard) =>
      client.addConfigWatchers(dataId, group, [(_tenant, _id, _group, text) => heard(text)]),
  });
};

const parties = { gRPC: grpc, HTTP: http };
const pairs = [
  ['gRPC', 'gRPC'],
  ['gRPC', 'HTTP'],
  ['HTTP', 'gRPC'],
  ['HTTP', 'HTTP'],
] as const;

for (const variant of ['auth', '3'] as const) {
  withServer('nacos', { variant }, (server) => {
    const closing = new Closing();

    for (const [one, other] of pairs) {
      it(`two clients exchange everything: ${one} tells, ${other} hears`, async () => {
        const namespace = freshName('ns');
        const [teller, hearer] = [
          await parties[one](server, closing, namespace),
          await parties[other](server, closing, namespace),
        ];
        const [serviceName, groupName, dataId] = [freshName('shop'), 'G', freshName('doc')];
        const heard: string[] = [];
        const contents: (string | undefined)[] = [];
        await hearer.follow(serviceName, groupName, (what) => void heard.push(what));
        for (const id of [dataId, `cipher-kms-aes-128-${dataId}`]) {
          await hearer.listen(id, groupName, (content) => void contents.push(content));
        }

        const first = {
          serviceName,
          groupName,
          ip: '10.1.1.1',
          port: 1,
          clusterName: 'c1',
          metadata: { city: 'Köln' },
        };
        await teller.register(first);
        await until(() => heard.includes('ADDED 1'), 'the first is heard');
        await teller.register({ ...first, port: 2 });
        await until(() => heard.includes('ADDED 2'), 'the second is heard');
        const list = await hearer.list(serviceName, groupName);
        expect(list.find((instance) => instance.port === 1)).toMatchObject({
          ip: '10.1.1.1',
          clusterName: 'c1',
          metadata: { city: 'Köln' },
          healthy: true,
          enabled: true,
          ephemeral: true,
          weight: 1,
        });
        expect(await hearer.services(groupName)).toContain(serviceName);
        await teller.register({ ...first, weight: 2.5 });
        await until(() => heard.includes('MODIFIED 1 2.5'), 'the change is heard');
        await teller.deregister({ ...first, port: 2 });
        await until(() => heard.includes('DELETED 2'), 'the removal is heard');
        await teller.deregister(first);
        await until(() => heard.includes('DELETED 1'), 'the last removal is heard');

        await teller.publish(dataId, groupName, 'Grüße 世界');
        await until(() => contents.at(-1) === 'Grüße 世界', 'the content is heard');
        expect(await hearer.read(dataId, groupName)).toBe('Grüße 世界');
        await teller.publish(dataId, groupName, 'newer');
        await until(() => contents.at(-1) === 'newer', 'the change is heard');
        await teller.remove(dataId, groupName);
        await until(() => contents.at(-1) === undefined, 'the removal is heard');
        await teller.publish(`cipher-kms-aes-128-${dataId}`, groupName, 'a secret');
        await until(() => contents.at(-1) === 'a secret', 'what is encrypted is heard in clear');
        expect(contents).toEqual(['Grüße 世界', 'newer', undefined, 'a secret']);
        await teller.remove(`cipher-kms-aes-128-${dataId}`, groupName);
      });
    }
  });
}

/** What is used of the npm package `nacos`, whose types don't name its options. */
interface Peer {
  readonly NacosNamingClient: new (options: object) => {
    ready(): Promise<void>;
    subscribe(service: string, listener: (hosts: readonly { readonly port: number }[]) => void): void;
    registerInstance(service: string, instance: object): Promise<void>;
    deregisterInstance(service: string, instance: object): Promise<void>;
    close(): Promise<void>;
  };
  readonly NacosConfigClient: new (options: object) => {
    ready(): Promise<void>;
    publishSingle(dataId: string, group: string, content: string): Promise<boolean>;
    subscribe(item: object, listener: (content: string) => void): void;
    close(): Promise<void>;
  };
}

withServer('nacos', { variant: 'open' }, (server) => {
  const closing = new Closing();

  it('registry, discovery and configuration of one app share one connection', async () => {
    const appName = freshName('app');
    const { serverAddresses } = optionsFor(server);
    const definition = nacos({ appName, ...(serverAddresses === undefined ? {} : { serverAddresses }) });
    const backend = definition.create(createContext([]));
    closing.add(backend);
    await backend.open();
    const service = freshName('one');
    await backend.registry?.register(createRegistration({ service, host: '127.0.0.1', port: 4321 })).registered;
    const heard: unknown[] = [];
    backend.discovery?.watch(service, (report) => void heard.push(report));
    backend.config?.watch({ kind: 'document', id: freshName('doc') }, (report) => void heard.push(report));
    await until(() => heard.length === 2, 'both watches have reported');
    const answer = await fetch(`${server.url}/v2/core/loader/current`);
    const connections = Object.values((await answer.json()) as Record<string, unknown>);
    expect(connections.filter((one) => JSON.stringify(one).includes(appName))).toHaveLength(1);
  });

  describe('beside the npm client of Nacos itself', () => {
    it('each hears what the other registers and publishes', async () => {
      const { NacosNamingClient, NacosConfigClient } = createRequire(import.meta.url)('nacos') as Peer;
      const nothing = (): void => {};
      const logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, log: nothing };
      const serverList = new URL(server.url).host;
      const naming = closing.add(new NacosNamingClient({ logger, serverList, namespace: 'public' }));
      const config = closing.add(new NacosConfigClient({ logger, serverAddr: serverList, namespace: '' }));
      await Promise.all([naming.ready(), config.ready()]);
      const ours = await grpc(server, closing);
      const [theirService, ourService, theirDoc, ourDoc] = ['a', 'b', 'c', 'd'].map((name) => freshName(name));
      if (!theirService || !ourService || !theirDoc || !ourDoc) throw new Error('four names');

      const heard: string[] = [];
      await ours.follow(theirService, 'DEFAULT_GROUP', (what) => void heard.push(what));
      await naming.registerInstance(theirService, { ip: '10.2.2.2', port: 7, metadata: { from: 'npm' } });
      await until(() => heard.includes('ADDED 7'), 'we hear what they register');
      expect((await ours.list(theirService, 'DEFAULT_GROUP'))[0]?.metadata['from']).toBe('npm');
      await naming.deregisterInstance(theirService, { ip: '10.2.2.2', port: 7 });
      await until(() => heard.includes('DELETED 7'), 'we hear what they take back');

      const theirs: number[][] = [];
      naming.subscribe(ourService, (hosts) => void theirs.push(hosts.map((host) => host.port)));
      await ours.register({ serviceName: ourService, groupName: 'DEFAULT_GROUP', ip: '10.2.2.3', port: 8 });
      await until(() => theirs.at(-1)?.[0] === 8, 'they hear what we register', 25_000);

      const contents: (string | undefined)[] = [];
      await ours.listen(theirDoc, 'G', (content) => void contents.push(content));
      await config.publishSingle(theirDoc, 'G', 'from npm');
      await until(() => contents.at(-1) === 'from npm', 'we hear what they publish');
      const theirContents: string[] = [];
      config.subscribe({ dataId: ourDoc, group: 'G' }, (content) => void theirContents.push(content));
      await ours.publish(ourDoc, 'G', 'from us');
      await until(() => theirContents.at(-1) === 'from us', 'they hear what we publish', 25_000);
    }, 90_000);
  });
});
