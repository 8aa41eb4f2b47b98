import { describe, expect, it } from 'vitest';
import type { ConfigReport } from '../../../lib/backend/index.js';
import { asab } from '../../../lib/backends/zookeeper/index.js';
import { freshName } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { Opened, until } from './support.js';

const entriesOf = (report: ConfigReport | undefined): Record<string, unknown>[] =>
  (report?.documents ?? []).map(({ id, content }) => ({
    id,
    ...(content.format === 'entries' ? content.entries : content),
  }));

withServer('zookeeper', {}, (server) => {
  const opened = new Opened();

  describe('configuration in Spring’s layout', () => {
    it('reads the contexts of an application as properties, in one report', async () => {
      const root = freshName('config');
      const client = await opened.client(server.url);
      const put = (path: string, value: string): Promise<string> =>
        client.create(`/${root}/${path}`, Buffer.from(value));
      await put('application/shared', 'all');
      await put('application,dev/shared', 'all in dev');
      await put('orders/db/url', 'jdbc:x');
      await put('orders/empty', '');
      await client.setData(`/${root}/orders/db`, Buffer.from('inner nodes count too'));
      await put('orders,dev/db/url', 'jdbc:dev');
      await put('stock/foreign', 'x');
      await put('orders/__proto__/polluted', 'yes');
      await Promise.all(Array.from({ length: 200 }, (_, index) => put(`orders/list/n${index}`, String(index))));
      const { backend, events } = await opened.backend({ servers: server.url, layout: asab(), config: { root } });
      const reports: ConfigReport[] = [];
      backend.config.watch({ kind: 'application', application: 'orders', profiles: ['dev'] }, (report) =>
        reports.push(report),
      );
      await until(() => reports.length > 0, 'it is read');
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(reports).toHaveLength(1);
      const documents = entriesOf(reports[0]);
      expect(documents.map((document) => document['id'])).toEqual([
        'application',
        'application,dev',
        'orders',
        'orders,dev',
      ]);
      expect(documents[0]).toMatchObject({ shared: 'all' });
      expect(documents[2]).toMatchObject({
        db: 'inner nodes count too',
        'db.url': 'jdbc:x',
        empty: '',
        'list.n199': '199',
      });
      expect(documents[3]).toMatchObject({ 'db.url': 'jdbc:dev' });
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      expect(events.filter((event) => event.type === 'record.skipped')).toHaveLength(1);
    });

    it('a thousand writes are few reports, and the last value stands; a deletion is a change too', async () => {
      const root = freshName('config');
      const client = await opened.client(server.url);
      await client.create(`/${root}/orders/a`, Buffer.from('0'));
      const { backend } = await opened.backend({ servers: server.url, layout: asab(), config: { root } });
      const reports: ConfigReport[] = [];
      backend.config.watch({ kind: 'application', application: 'orders', profiles: [] }, (report) =>
        reports.push(report),
      );
      await until(() => reports.length > 0, 'it is read');
      await Promise.all(
        Array.from({ length: 1000 }, (_, index) => client.setData(`/${root}/orders/a`, Buffer.from(String(index)))),
      );
      await until(() => entriesOf(reports.at(-1))[0]?.['a'] === '999', 'the last value is seen');
      expect(reports.length).toBeLessThan(600);
      const before = reports.length;
      await client.create(`/${root}/orders,prod/x`, Buffer.from('another profile'));
      await client.remove(`/${root}/orders/a`);
      await until(() => entriesOf(reports.at(-1)).length === 0, 'the deletion is seen');
      expect(reports.length - before).toBeLessThan(4);
    });

    it('other names for root, shared context and separator', async () => {
      const root = freshName('cfg');
      const client = await opened.client(server.url);
      await client.create(`/${root}/x/defaults-prod/k`, Buffer.from('v'));
      const { backend } = await opened.backend({
        servers: server.url,
        config: { root: `/${root}/x/`, defaultContext: 'defaults', profileSeparator: '-' },
      });
      const reports: ConfigReport[] = [];
      backend.config.watch({ kind: 'application', application: 'a', profiles: ['prod'] }, (report) =>
        reports.push(report),
      );
      await until(() => entriesOf(reports.at(-1))[0]?.['k'] === 'v', 'it is read');
    });

    it('documents of their own are read by their extension; empty parents go with their last child', async () => {
      const root = freshName('config');
      const { backend } = await opened.backend({ servers: server.url, config: { root } });
      const { config } = backend;
      await config.publish('orders/deep/a.yaml', 'x: 1', { format: 'yaml' });
      expect((await config.read('orders/deep/a.yaml'))?.content).toEqual({ format: 'yaml', text: 'x: 1' });
      await expect(config.publish('orders/b', 'x', { format: 'json' })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      });
      expect(await config.read('orders/deep')).toBeUndefined();
      await config.publish('orders/plain', 'text');
      expect(await config.list?.('orders/')).toEqual(['orders/deep/a.yaml', 'orders/plain']);
      expect(await config.remove('orders/deep/a.yaml')).toBe(true);
      expect(await backend.client.exists(`/${root}/orders/deep`)).toBeUndefined();
      expect(await backend.client.exists(`/${root}/orders/plain`)).toBeDefined();
      // A node that holds others loses its own value only.
      await config.publish('orders/plain/below', 'y');
      expect(await config.remove('orders/plain')).toBe(true);
      expect(await config.read('orders/plain')).toBeUndefined();
      expect((await config.read('orders/plain/below'))?.content).toMatchObject({ text: 'y' });
    });
  });
});
