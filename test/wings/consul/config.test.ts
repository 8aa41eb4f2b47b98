import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  consul,
  ConsulClient,
  type ConsulConfigOptions,
  type ConsulOptions,
} from '../../../lib/backends/consul/index.js';
import type { ConfigReport } from '../../../lib/backend/index.js';
import { readDocument, PropertyTree } from '../../../lib/config/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh, until } from './support/wait.js';

/** What the app would see: all documents merged. */
async function merged(report: ConfigReport | undefined): Promise<PropertyTree | undefined> {
  if (report?.documents === undefined) return undefined;
  return PropertyTree.merge((await Promise.all(report.documents.map((document) => readDocument(document)))).flat());
}

withServer('consul', { variant: 'dev' }, (server) => {
  const closing: (() => unknown)[] = [];
  let store: ConsulClient;
  let root: string;
  beforeEach(() => {
    store = new ConsulClient(server.url);
    root = fresh('conf');
    closing.push(() => store.close());
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  const put = async (entries: Readonly<Record<string, string | Uint8Array>>) => {
    for (const [key, value] of Object.entries(entries)) await store.kv.set(`${root}/${key}`, value);
  };
  const open = async (config: ConsulConfigOptions = {}, options: ConsulOptions = {}) => {
    const events: DiscoveryEvent[] = [];
    const backend = consul({ address: server.url, config: { prefixes: [root], ...config }, ...options }).create(
      createContext(events),
    );
    closing.push(() => backend.close());
    await backend.open();
    const { config: driver } = backend;
    if (driver === undefined) throw new Error('it has one');
    const watch = (application: string, profiles: readonly string[] = []) => {
      const reports: ConfigReport[] = [];
      const watched = driver.watch({ kind: 'application', application, profiles }, (report) => reports.push(report));
      const value = async (key: string) => (await merged(reports.at(-1)))?.get(key);
      const has = (key: string, want: unknown) =>
        until(
          async () => reports.length > 0 && JSON.stringify(await value(key)) === JSON.stringify(want),
          `${key} is ${String(want)}`,
        );
      return { reports, watched, value, has };
    };
    return { driver, watch, events };
  };

  it('KEY_VALUE: folders become dots, user interfaces’ folders are no keys, the nearest layer wins', async () => {
    await put({
      'application/limit': '1',
      'application/db/url': 'shared',
      'application,prod/limit': '2',
      'orders/limit': '3',
      'orders,prod/limit': '4',
      'orders/db/': '',
      'orders-more/limit': '9',
      'orders/empty': '',
    });
    const app = (await open()).watch('orders', ['prod']);
    await app.has('limit', '4');
    expect(await app.value('db.url')).toBe('shared');
    expect(await app.value('empty')).toBe('');
    expect(app.reports).toHaveLength(1);
    expect(app.reports[0]?.documents?.map((document) => document.id)).toEqual([
      `${root}/application/`,
      `${root}/application,prod/`,
      `${root}/orders/`,
      `${root}/orders,prod/`,
    ]);
    // A deletion is an event too, and falls back to the layer below.
    await store.kv.delete(`${root}/orders,prod/limit`);
    await app.has('limit', '3');
    await store.kv.deleteTree(`${root}/orders/`);
    await app.has('limit', '2');
    await store.kv.deleteTree(root);
    await app.has('limit', undefined);
    expect(app.reports.at(-1)?.documents).toEqual([]);
    await put({ 'orders/limit': '5' });
    await app.has('limit', '5');
  });

  it('YAML and PROPERTIES: one document at each layer', async () => {
    await put({
      'application/data': 'limit: 1\ndb: { url: shared }\n',
      'orders/data': 'limit: 3\n',
      'orders,prod/data': 'limit: 4\n',
      'orders/other': 'limit: 9\n',
    });
    const yaml = (await open({ format: 'YAML' })).watch('orders', ['prod']);
    await yaml.has('limit', 4);
    expect(await yaml.value('db.url')).toBe('shared');
    await put({ 'application/conf': 'limit=1\ndb.url=ge\\u00e4ndert\n', 'orders/conf': 'limit=3\n' });
    const properties = (await open({ format: 'PROPERTIES', dataKey: 'conf' })).watch('orders');
    await properties.has('limit', '3');
    expect(await properties.value('db.url')).toBe('geändert');
  });

  it('FILES: by extension, `-` before the profile, and nothing of another application', async () => {
    await put({
      'application.yml': 'limit: 1\nname: shared\n',
      'orders.yml': 'limit: 2\n',
      'orders.properties': 'limit=3\n',
      'orders-prod.yaml': 'limit: 4\n',
      'orders-prod.json': '{"json": true}',
      'orders-test.yml': 'limit: 8\n',
      'orders.yml.bak': 'limit: 9\n',
      'ordersmore.yml': 'limit: 9\n',
      'orders.prod.yml': 'limit: 9\n',
    });
    const app = (await open({ format: 'FILES' })).watch('orders', ['prod']);
    await app.has('limit', 4);
    expect(await app.value('json')).toBe(true);
    expect(app.reports[0]?.documents?.map((document) => document.id.slice(root.length + 1))).toEqual([
      'application.yml',
      'orders.yml',
      'orders.properties',
      'orders-prod.yaml',
      'orders-prod.json',
    ]);
    await store.kv.delete(`${root}/orders-prod.yaml`);
    await app.has('limit', '3');
  });

  it('properties that Java wrote: ISO-8859-1; and ours, which Java reads', async () => {
    await put({ 'orders.properties': Buffer.from('name=Z\u00fcrich\n', 'latin1') });
    const { driver, watch } = await open({ format: 'FILES' });
    const app = watch('orders');
    await app.has('name', 'Zürich');
    await driver.publish(`${root}/orders.properties`, 'name=Genève 世界\n');
    expect((await store.kv.get(`${root}/orders.properties`))[0]?.Value.toString('latin1')).toBe(
      'name=Gen\\u00e8ve \\u4e16\\u754c\n',
    );
    await app.has('name', 'Genève 世界');
  });

  it('prefixes: of several the last wins', async () => {
    await put({ 'a/orders/limit': '1', 'b/orders/limit': '2', 'b/application/limit': '0', 'a/orders/only': 'a' });
    const app = (await open({ prefixes: [`${root}/a`, `/${root}/b/`] })).watch('orders');
    await app.has('limit', '2');
    expect(await app.value('only')).toBe('a');
  });

  it('another shared layer, another separator', async () => {
    await put({ 'all/limit': '1', 'orders::prod/limit': '2' });
    const { watch } = await open({ defaultContext: 'all', profileSeparator: '::' });
    await watch('other').has('limit', '1');
    await watch('orders', ['prod']).has('limit', '2');
  });

  it('a value that is no text, and a key that would reach the prototype, are left out and told once', async () => {
    await put({ 'orders/good': 'x', 'orders/bytes': Uint8Array.from([0xff, 0xfe]), 'orders/__proto__/evil': 'y' });
    const { watch, events } = await open();
    const app = watch('orders');
    await app.has('good', 'x');
    await put({ 'orders/good': 'z' });
    await app.has('good', 'z');
    const skipped = events.filter((event) => event.type === 'record.skipped').map((event) => event.record);
    expect(skipped.sort()).toEqual([`${root}/orders/__proto__/evil`, `${root}/orders/bytes`]);
    expect(({} as Record<string, unknown>)['evil']).toBeUndefined();
  });

  it('all layers are watched side by side: a change is seen in a moment, wherever it is', async () => {
    const profiles = ['one', 'two', 'three', 'four'];
    const app = (await open()).watch('orders', profiles);
    await until(() => app.reports.length === 1, 'the first report');
    for (const layer of ['application', 'orders', ...profiles.map((profile) => `orders,${profile}`)]) {
      // One after the other they would be asked once in six waits.
      await put({ [`${layer}/mark`]: layer });
      await app.has('mark', layer);
    }
  });

  it('a thousand writes in a row: few reports, and the last one stands', async () => {
    const app = (await open()).watch('orders');
    await until(() => app.reports.length === 1, 'the first report');
    for (let at = 0; at < 10; at += 1) {
      await Promise.all(Array.from({ length: 100 }, (_, one) => put({ 'orders/n': String(at * 100 + one) })));
    }
    await put({ 'orders/n': 'last' });
    await app.has('n', 'last');
    expect(app.reports.length).toBeLessThan(20);
  });

  it('lists keys, reads a folder as one document, and refuses a format that a name does not say', async () => {
    await put({ 'orders/a': '1', 'orders/b/c': '2', 'orders/b/': '' });
    const { driver } = await open();
    expect(await driver.list?.(`${root}/orders/`)).toEqual([`${root}/orders/a`, `${root}/orders/b/c`]);
    const folder = await driver.read(`${root}/orders/`);
    expect(folder?.content).toMatchObject({ format: 'entries', entries: { a: '1', 'b.c': '2' } });
    expect((await driver.read(`${root}/orders/a`))?.content).toEqual({ format: 'text', text: '1' });
    await expect(driver.publish(`${root}/orders/x`, '{}', { format: 'json' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'format',
    });
    await driver.publish(`${root}/x.json`, '{}', { format: 'json' });
    await expect(driver.publish(`${root}/x.json`, '{}', { ifRevision: 'nonsense' })).rejects.toMatchObject({
      code: 'CONFIG_CONFLICT',
    });
    expect(await driver.remove(`${root}/none`, { ifRevision: null })).toBe(false);
    await expect(driver.remove(`${root}/x.json`, { ifRevision: null })).rejects.toMatchObject({
      code: 'CONFIG_CONFLICT',
    });
  });
});

withServer('consul', { variant: 'acl' }, (server) => {
  it('keys that a token may not read are an error, and not "nothing is configured"', async () => {
    const admin = new ConsulClient({ address: server.url, token: server.token ?? '' });
    const prefix = fresh('secret');
    await admin.kv.set(`${prefix}/orders/limit`, '1');
    const token = await admin.acl.tokens.create({});
    for (const given of [{ token }, {}]) {
      const config = { prefixes: [prefix] };
      const backend = consul({ address: server.url, config, ...given }).create(createContext([]));
      await backend.open();
      const reports: ConfigReport[] = [];
      backend.config?.watch({ kind: 'application', application: 'orders', profiles: [] }, (report) =>
        reports.push(report),
      );
      await until(() => reports.length > 0, 'a report');
      expect(reports[0]?.error?.code).toBe('BACKEND_REFUSED');
      await expect(backend.config?.read(`${prefix}/orders/limit`)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
      await expect(backend.config?.publish(`${prefix}/x`, 'x')).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
      await backend.close();
    }
    await admin.acl.tokens.destroy(token);
    await admin.close();
  });
});
