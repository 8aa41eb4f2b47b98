import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { BackendDefinition, ConfigRevision } from '../../../lib/backend/index.js';
import { consul } from '../../../lib/backends/consul/index.js';
import { local } from '../../../lib/backends/local/index.js';
import { nacos } from '../../../lib/backends/nacos/index.js';
import { nats } from '../../../lib/backends/nats/index.js';
import { zookeeper } from '../../../lib/backends/zookeeper/index.js';
import {
  ConfigClient,
  DiscoveryModule,
  EventHub,
  loadConfig,
  type DiscoveryEvent,
  type DiscoveryModuleOptions,
} from '../../../lib/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { freshName } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import type { ProductName } from '../../servers/types.js';

/** Where nothing listens. */
const NOWHERE = '127.0.0.1:1';

/** How one backend keeps configuration. */
interface Row {
  readonly name: string;
  /** Undefined where there is no server. */
  readonly server?: { readonly product: ProductName; readonly variant?: string };
  /**
   * @param address the server's `host:port`, or one where nothing listens
   * @param place what keeps a test's documents apart from all others
   */
  definition(address: string, place: string): BackendDefinition;
  /** The id of a document that is named. */
  id(place: string, name: string): string;
  /** What is published for a layer of an application: texts by ids. */
  layer(place: string, name: string, values: Values): readonly (readonly [id: string, text: string])[];
}

type Values = Readonly<Record<string, string>>;

const files = (idOf: Row['id'] = (_, name) => name): Pick<Row, 'id' | 'layer'> => ({
  id: idOf,
  layer: (place, name, values) => [[idOf(place, `${name}.yaml`), JSON.stringify(values)]],
});

const ROWS: readonly Row[] = [
  {
    name: 'local',
    definition: (_, place) => local({ directory: join(homes, 'registry'), configDirectory: join(homes, place) }),
    ...files(),
  },
  {
    name: 'consul',
    server: { product: 'consul' },
    definition: (address, place) =>
      consul({ address: `http://${address}`, config: { prefixes: [place], format: 'FILES' } }),
    ...files((place, name) => `${place}/${name}`),
  },
  {
    name: 'nacos 3',
    server: { product: 'nacos', variant: '3' },
    definition: (serverAddresses, group) =>
      nacos({ serverAddresses, username: 'nacos', password: 'nacos-password', config: { group } }),
    ...files(),
  },
  ...(['grpc', 'http'] as const).map((protocol): Row => ({
    name: `nacos, ${protocol}`,
    server: { product: 'nacos', variant: 'open' },
    definition: (serverAddresses, group) => nacos({ serverAddresses, protocol, config: { group } }),
    ...files(),
  })),
  {
    name: 'nats',
    server: { product: 'nats' },
    definition: (address, bucket) => nats({ servers: `nats://${address}`, config: { bucket } }),
    ...files(),
  },
  {
    name: 'zookeeper',
    server: { product: 'zookeeper' },
    definition: (servers, root) => zookeeper({ servers, config: { root } }),
    id: (_, name) => name,
    // Of profiles Spring Cloud Zookeeper has its own spelling, and a node for each key.
    layer: (_, name, values) =>
      Object.entries(values).map(([key, value]) => [`${name.replace('-', ',')}/${key.replaceAll('.', '/')}`, value]),
  },
];

const homes = await mkdtemp(join(tmpdir(), 'every-backend-'));
const apps: INestApplicationContext[] = [];

afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});
afterAll(() => rm(homes, { recursive: true, force: true }));

/** An app of the service ORDERS with the profile dev, and what it tells. */
async function started(config: BackendDefinition, more: Partial<DiscoveryModuleOptions> = {}) {
  const events: DiscoveryEvent[] = [];
  const options = optionsOf(config, more);
  @Module({ imports: [DiscoveryModule.forRoot(options)] })
  class AppModule {}
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
  apps.push(app);
  app.get(EventHub).subscribe((event) => events.push(event));
  return { config: app.get(ConfigClient), events };
}

function optionsOf(config: BackendDefinition, more: Partial<DiscoveryModuleOptions> = {}): DiscoveryModuleOptions {
  const { configOptions, ...rest } = more;
  return {
    service: { name: 'ORDERS' },
    profiles: ['dev'],
    registry: new InMemoryRegistry().backend(),
    config,
    configOptions: { environment: false, commandLine: false, debounceMs: 10, ...configOptions },
    ...rest,
  };
}

function suite({ definition, id, layer }: Row, addressOf: () => string): void {
  const at = (place: string): BackendDefinition => definition(addressOf(), place);

  it('layers win over each other as stated, say where they come from, and fall back when they go', async () => {
    const place = freshName('layers');
    const { config } = await started(at(place));
    const put = async (name: string, values: Values): Promise<void> => {
      for (const [document, text] of layer(place, name, values)) await config.publish(document, text);
    };
    await put('application', {
      'k.a': '1',
      'k.b': '1',
      'k.c': '1',
      'k.d': '1',
      url: 'http://${k.d}/${spring.application.name}',
    });
    await put('application-dev', { 'k.b': '2', 'k.c': '2', 'k.d': '2' });
    await put('ORDERS', { 'k.c': '3', 'k.d': '3' });
    await put('ORDERS-dev', { 'k.d': '4', 'db.password': 'the-password' });
    await put('ORDERS-prod', { 'k.d': '9' });
    const whole = { a: '1', b: '2', c: '3', d: '4' };
    await expect.poll(() => config.get('k')).toEqual(whole);
    await expect.poll(() => config.get('url')).toBe('http://4/ORDERS');
    await expect.poll(() => config.get('db.Password')).toBe('the-password');
    const { value, origin, overrides } = config.explain('k.d');
    expect([value, ...overrides.map((one) => one.value)]).toEqual(['4', '3', '2', '1']);
    expect(origin?.name).toContain('ORDERS');
    expect(JSON.stringify(config.explain('db.password'))).not.toContain('the-password');
    for (const [document] of layer(place, 'ORDERS-dev', { 'k.d': '' })) await config.remove(document);
    await expect.poll(() => config.get('k.d')).toBe('3');
    await expect.poll(() => config.get('url')).toBe('http://3/ORDERS');
  });

  it('a document that is named wins, keeps its last good version, and is missed when it is not there', async () => {
    const place = freshName('named');
    const name = id(place, 'extra.yaml');
    const missing = await started(at(place), { configOptions: { documents: [{ id: name }] } }).catch(
      (error) => error as unknown,
    );
    expect(missing).toMatchObject({ code: 'CONFIG_UNAVAILABLE', field: 'configOptions.documents' });
    const { config, events } = await started(at(place), {
      configOptions: { documents: [{ id: name, optional: true }] },
    });
    for (const [document, text] of layer(place, 'ORDERS', { limit: '1', own: 'yes' }))
      await config.publish(document, text);
    await config.publish(name, 'limit: 2');
    await expect.poll(() => [config.get('limit'), config.get('own')]).toEqual([2, 'yes']);
    await expect(config.publish(name, 'limit: [')).rejects.toMatchObject({ code: 'CONFIG_DOCUMENT_INVALID' });
    await config.publish(name, 'limit: [', { force: true });
    await expect.poll(() => events.map(({ type }) => type)).toContain('config.rejected');
    expect(config.get('limit')).toBe(2);
    expect(events.filter(({ type }) => type === 'config.rejected')).toHaveLength(1);
    const heard: unknown[] = [];
    config.onChange('limit', () => {
      throw new Error('a listener');
    });
    config.onChange('limit', ({ oldValue, newValue }) => heard.push([oldValue, newValue]));
    await config.publish(name, 'limit: 3');
    await expect.poll(() => heard).toEqual([[2, 3]]);
  });

  it('a write that names another revision is a conflict, and writes nothing', async () => {
    const place = freshName('cas');
    const { config } = await started(at(place));
    const name = id(place, 'orders.json');
    const first = await config.publish(name, '{"a":1}', { ifRevision: null });
    await expect(config.publish(name, '{"a":2}', { ifRevision: null })).rejects.toMatchObject({
      code: 'CONFIG_CONFLICT',
    });
    const second = await config.publish(name, '{"a":3}', { ifRevision: first });
    await expect(config.remove(name, { ifRevision: first })).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' });
    expect(await config.read(name)).toMatchObject({ revision: second, content: { format: 'json', text: '{"a":3}' } });
    expect(await config.remove(name, { ifRevision: second })).toBe(true);
    expect(await config.read(name)).toBeUndefined();
  });

  it('names its documents, and tells what became of one where the product remembers', async () => {
    const place = freshName('history');
    const { config } = await started(at(place));
    const [name, other] = [id(place, 'orders.json'), id(place, 'stock.json')];
    await config.publish(other, '{}');
    for (const text of ['{"a":1}', '{"a":2}', '{"a":3}']) await config.publish(name, text);
    await config.remove(name);
    const last = await config.publish(name, '{"a":4}');
    const own = (await config.list(id(place, ''))).filter((one) => one === name || one === other);
    expect(own).toEqual([name, other]);
    const told = await config.history(name).catch((error: { code: string }) => error);
    if (!Array.isArray(told)) {
      expect(told).toMatchObject({ code: 'UNSUPPORTED' });
      return;
    }
    const history = told as readonly ConfigRevision[];
    expect(history.map(({ content }) => content)).toEqual(['{"a":4}', undefined, '{"a":3}', '{"a":2}', '{"a":1}']);
    expect(history[0]?.revision).toBe(last);
    expect(history.every(({ at: when }, index) => (when ?? 0) <= (history[index - 1]?.at ?? Infinity))).toBe(true);
  });

  it('is loaded before there is an app', async () => {
    const place = freshName('loaded');
    const { config } = await started(at(place));
    for (const [document, text] of layer(place, 'ORDERS', { limit: '7' })) await config.publish(document, text);
    await expect.poll(() => config.get('limit', 0)).toBe(7);
    const loaded = await loadConfig(optionsOf(at(place)));
    expect(loaded.get('limit', 0)).toBe(7);
    await loaded.close();
  });
}

/** What only a server can do: not be there. */
function outageSuite({ definition, layer }: Row, addressOf: () => string): void {
  it('starts from what was there last while the server is away, and says so; without that it does not start', async () => {
    const place = freshName('outage');
    const snapshotDirectory = join(homes, place);
    const { config } = await started(definition(addressOf(), place), {
      snapshotDirectory,
      configOptions: { snapshots: true },
    });
    for (const [document, text] of layer(place, 'ORDERS', { limit: '7' })) await config.publish(document, text);
    await expect.poll(() => config.get('limit', 0)).toBe(7);
    for (const app of apps.splice(0)) await app.close();
    const away = definition(NOWHERE, place);
    const configOptions = { loadTimeoutMs: 500, snapshots: true };
    const again = await started(away, { snapshotDirectory, configOptions });
    expect(again.config.get('limit', 0)).toBe(7);
    await expect(started(away, { snapshotDirectory: join(homes, 'none'), configOptions })).rejects.toMatchObject({
      code: 'CONFIG_UNAVAILABLE',
    });
  });
}

describe('bytes that are no text, on a backend that keeps bytes', () => {
  it('are refused, and the version before them stays', async () => {
    const place = freshName('bytes');
    const directory = join(homes, place);
    await mkdir(directory);
    const file = join(directory, 'ORDERS.yaml');
    await writeFile(file, 'limit: 1');
    const { config, events } = await started(local({ directory: join(homes, 'registry'), configDirectory: directory }));
    expect(config.get('limit')).toBe(1);
    await writeFile(file, Buffer.from('limit: 2 # \xfc', 'latin1'));
    await expect.poll(() => events.map(({ type }) => type)).toContain('config.rejected');
    expect(events.find((event) => event.type === 'config.rejected')?.error.message).toContain('is no text in UTF-8');
    expect(config.get('limit')).toBe(1);
    await writeFile(file, 'limit: 3');
    await expect.poll(() => config.get('limit')).toBe(3);
  });
});

for (const row of ROWS) {
  describe(`configuration on ${row.name}`, () => {
    const { server } = row;
    if (server === undefined) suite(row, () => '');
    else {
      withServer(
        server.product,
        server.variant === undefined ? {} : { variant: server.variant as never },
        (running) => {
          const address = (): string => running.url.replace(/^\w+:\/\//, '');
          suite(row, address);
          outageSuite(row, address);
        },
      );
    }
  });
}
