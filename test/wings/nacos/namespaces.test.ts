import { expect, it } from 'vitest';
import { NacosClient, NacosHttpClient, type NacosClientOptions } from '../../../lib/backends/nacos/index.js';
import { withServer } from '../../servers/for-tests.js';
import { Closing, freshName, optionsFor, until } from './support.js';

type Namespace = Pick<NacosClientOptions, 'namespace'>;

/** The ways of writing the namespace that every app is in unless told otherwise. */
const WAYS = { 'left out': {}, "''": { namespace: '' }, public: { namespace: 'public' } } satisfies Record<
  string,
  Namespace
>;
type Way = keyof typeof WAYS;
const ways = Object.keys(WAYS) as Way[];

/** Who hears of whom. The namespaces of services are two everywhere; those of configuration became one with 3.0. */
const SERVICES: Readonly<Record<Way, readonly Way[]>> = {
  'left out': ['left out', 'public'],
  public: ['left out', 'public'],
  "''": ["''"],
};
const CONFIGURATION = {
  auth: { 'left out': ['left out', "''"], "''": ['left out', "''"], public: ['public'] },
  '3': { 'left out': ways, "''": ways, public: ways },
} satisfies Record<string, Record<Way, readonly Way[]>>;

for (const variant of ['auth', '3'] as const) {
  withServer('nacos', { variant }, (server) => {
    const closing = new Closing();

    const grpc = async (way: Way): Promise<NacosClient> => {
      const client = closing.add(new NacosClient({ ...optionsFor(server), ...WAYS[way] }));
      await client.start();
      return client;
    };
    const http = (way: Way): NacosHttpClient =>
      closing.add(new NacosHttpClient({ ...optionsFor(server), ...WAYS[way] }));

    it.each(ways)('gRPC, namespace %s: reached as it is written', async (way) => {
      const teller = await grpc(way);
      const [serviceName, dataId] = [freshName('shop'), freshName('doc')];
      await teller.naming.registerInstance({ serviceName, ip: '10.0.0.1', port: 1000 });
      await teller.config.publishConfig({ dataId, content: 'one' });
      const heard: string[] = [];
      for (const other of ways) {
        const hearer = await grpc(other);
        await hearer.naming.subscribe({
          serviceName,
          listener: (list) => void (list.length > 0 && heard.push(`service ${other}`)),
        });
        await hearer.config.addListener(dataId, undefined, (_tenant, _id, _group, content) => {
          if (content === 'two') heard.push(`configuration ${other}`);
        });
      }
      await teller.config.publishConfig({ dataId, content: 'two' });
      const expected = [
        ...SERVICES[way].map((other) => `service ${other}`),
        ...CONFIGURATION[variant][way].map((other) => `configuration ${other}`),
      ].sort();
      await until(() => expected.every((one) => heard.includes(one)), 'whoever is there has heard');
      // Asked, and not waited for: those elsewhere hear nothing however long it is waited.
      for (const other of ways) {
        const asker = await grpc(other);
        const { hosts } = await asker.naming.getService({ serviceName });
        expect([other, hosts.length]).toEqual([other, SERVICES[way].includes(other) ? 1 : 0]);
        const content = await asker.config.getConfig({ dataId });
        expect([other, content]).toEqual([
          other,
          CONFIGURATION[variant][way].some((one) => one === other) ? 'two' : undefined,
        ]);
        const { services } = await asker.naming.listServices({ pageSize: 500 });
        expect([other, services.includes(serviceName)]).toEqual([other, SERVICES[way].includes(other)]);
      }
      expect([...new Set(heard)].sort()).toEqual(expected);
    });

    it.each(ways)('HTTP, namespace %s: servers take all three for one', async (way) => {
      const teller = http(way);
      const [serviceName, dataId] = [freshName('shop'), freshName('doc')];
      await teller.addNamingInstance({ serviceName, ip: '10.0.0.1', port: 1000 }, { heartbeatIntervalMs: 1000 });
      await teller.publishConfig(dataId, 'DEFAULT_GROUP', 'one');
      const heard: string[] = [];
      for (const other of ways) {
        const hearer = http(other);
        await until(
          async () => (await hearer.listNamingInstances({ serviceName })).hosts.length === 1,
          `${other} finds it`,
        );
        await until(async () => (await hearer.getConfig(dataId, 'DEFAULT_GROUP')) === 'one', `${other} reads it`);
        hearer.addConfigWatchers(dataId, 'DEFAULT_GROUP', [
          (_tenant, _id, _group, content) => void (content === 'two' && heard.push(other)),
        ]);
      }
      await teller.publishConfig(dataId, 'DEFAULT_GROUP', 'two');
      await until(() => ways.every((other) => heard.includes(other)), 'all hear of the change');
      // And it is what an app of gRPC's finds that gives no namespace.
      const asker = await grpc('left out');
      expect((await asker.naming.getService({ serviceName })).hosts).toHaveLength(1);
      expect(await asker.config.getConfig({ dataId })).toBe('two');
    });
  });
}
