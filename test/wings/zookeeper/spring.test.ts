import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import axios from 'axios';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DiscoveryReport, Lease } from '../../../lib/backend/index.js';
import { curator, zookeeper, type ZooKeeperBackend } from '../../../lib/backends/zookeeper/index.js';
import { createRegistration } from '../../../lib/model/index.js';
import { createContext, freshName } from '../../contract/contract-harness.js';
import { standIn, withServer } from '../../servers/for-tests.js';
import type { SpringPeer } from '../spring-peer.js';
import { provideSpringPeer, startSpringPeer } from './spring-peer.js';
import { until } from './support.js';

withServer('zookeeper', {}, async (server) => {
  const program = await provideSpringPeer();
  if ('reason' in program) {
    standIn('spring-zookeeper-peer', program.reason, 'Spring application');
    return;
  }

  describe('together with a Spring Cloud Zookeeper application', () => {
    const [services, config] = [`/${freshName('services')}`, freshName('config')];
    const [springName, ownName] = [freshName('spring'), freshName('own')];
    const ending: (() => Promise<unknown>)[] = [];
    const asked: (string | undefined)[] = [];
    let backend: ZooKeeperBackend;
    let spring: SpringPeer;
    let lease: Lease;
    let port: number;

    beforeAll(async () => {
      const service = createServer((request, response) => {
        asked.push(request.url);
        response.setHeader('connection', 'close').end('{"from":"node"}');
      });
      await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
      ending.push(() => new Promise((resolve) => service.close(resolve)));
      ({ port } = service.address() as AddressInfo);
      const definition = zookeeper({
        servers: server.url,
        layout: curator({ basePath: services }),
        config: { root: config },
      });
      backend = definition.create(createContext([]));
      ending.push(() => backend.close());
      await backend.open();
      // There before Spring starts, which reads its configuration once.
      await backend.client.create(`/${config}/application/shared/greeting`, Buffer.from('hello'));
      await backend.client.create(`/${config}/${springName}/limit/max`, Buffer.from('a lot'));
      lease = backend.registry.register(
        createRegistration({
          service: ownName,
          instanceId: `${ownName}-1`,
          host: '127.0.0.1',
          port,
          metadata: { version: '7' },
          zone: 'eu-1',
          weight: 3,
        }),
      );
      await lease.registered;
      spring = await startSpringPeer(program, springName, server.url, { services, config });
      ending.push(() => spring.close());
    });

    afterAll(async () => {
      for (const end of ending.splice(0).reverse()) await end();
    });

    const ask = async (path: string): Promise<unknown> =>
      (await axios.get<unknown>(`http://127.0.0.1:${spring.port}${path}`)).data;
    const seenBySpring = (service: string): Promise<unknown> => ask(`/instances?service=${service}`);

    it('we find it, and what it is', async () => {
      const reports: DiscoveryReport[] = [];
      const watch = backend.discovery.watch(springName, (report) => reports.push(report));
      await until(() => reports.at(-1)?.instances?.length === 1, 'it is seen');
      const [found] = reports.at(-1)?.instances ?? [];
      expect(found).toMatchObject({
        url: `http://127.0.0.1:${spring.port}`,
        status: 'UP',
        metadata: { flavour: 'spring', contextPath: '/base' },
      });
      expect((await axios.get<unknown>(`${found?.url}/hello`)).data).toEqual({ from: 'spring' });
      expect((await backend.discovery.listServices()).toSorted()).toEqual([ownName, springName].toSorted());
      await watch.close();
    });

    it('it finds us, with our fields, and calls us', async () => {
      await until(async () => ((await ask('/services')) as string[]).includes(ownName), 'it lists us');
      expect(await seenBySpring(ownName)).toEqual([
        {
          id: `${ownName}-1`,
          host: '127.0.0.1',
          port,
          secure: false,
          uri: `http://127.0.0.1:${port}`,
          metadata: { version: '7', zone: 'eu-1', weight: '3', instance_status: 'UP' },
        },
      ]);
      expect(await ask(`/call?service=${ownName}&path=/from-spring`)).toEqual({ from: 'node' });
      expect(asked).toContain('/from-spring');
    });

    it('while we are out of service it calls nobody, and afterwards us again', async () => {
      const call = (): Promise<unknown> => ask(`/call?service=${ownName}&path=/again`);
      await lease.setStatus('OUT_OF_SERVICE');
      await until(
        () =>
          call().then(
            () => false,
            () => true,
          ),
        'it calls us no more',
      );
      await lease.setStatus('UP');
      await until(
        () =>
          call().then(
            () => true,
            () => false,
          ),
        'it calls us again',
      );
    });

    it('one that speaks https is secure to it', async () => {
      const name = freshName('secure');
      const secure = backend.registry.register(
        createRegistration({ service: name, instanceId: 's-1', host: '127.0.0.1', port: 8443, scheme: 'https' }),
      );
      await secure.registered;
      expect(await seenBySpring(name)).toMatchObject([
        { host: '127.0.0.1', port: 8443, secure: true, uri: 'https://127.0.0.1:8443' },
      ]);
      await secure.revoke();
      await until(async () => ((await seenBySpring(name)) as unknown[]).length === 0, 'it is gone for Spring too');
    });

    const readByCurator = (service: string): Promise<unknown> =>
      ask(`/curator?root=${services}&service=${encodeURIComponent(service)}`);

    it('Curator by itself reads us, in a folder too, and hands us out while we are up', async () => {
      const name = `${freshName('folder')}/orders`;
      const one = backend.registry.register(
        createRegistration({ service: name, instanceId: 'f-1', host: '127.0.0.1', port: 8080 }),
      );
      await one.registered;
      const uri = 'http://127.0.0.1:8080';
      expect(await readByCurator(name)).toMatchObject({ read: [{ uri, enabled: true }], offered: 1 });
      await one.setStatus('OUT_OF_SERVICE');
      expect(await readByCurator(name)).toMatchObject({ read: [{ uri, enabled: false }], offered: 0 });
      expect(await seenBySpring(encodeURIComponent(name))).toMatchObject([{ id: 'f-1' }]);
      await one.revoke();
    });

    it.each([
      ['none', 'none', 'none'],
      ['a function', () => ({ '@class': 'java.util.HashMap', color: 'red' }), { color: 'red' }],
    ] as const)('Curator reads the payload that is chosen: %s', async (_, payload, seen) => {
      const name = freshName('payload');
      const definition = zookeeper({ servers: server.url, layout: curator({ basePath: services, payload }) });
      const other = definition.create(createContext([]));
      await other.open();
      try {
        await other.registry.register(
          createRegistration({ service: name, instanceId: 'p-1', host: '127.0.0.1', port: 8080 }),
        ).registered;
        expect(await readByCurator(name)).toMatchObject({ read: [{ payload: seen }], offered: 1 });
      } finally {
        await other.close();
      }
    });

    it('odd names and metadata never break a query of its', async () => {
      const name = freshName('odd');
      const leases = ['plain', 'with space', 'ümläut', 'dots.and:colons'].map((instanceId) =>
        backend.registry.register(
          createRegistration({
            service: name,
            instanceId,
            host: '127.0.0.1',
            port: 8080,
            metadata: { '@class': 'java.lang.Runtime', 'key with "quotes"': '{"json":[1]}', empty: '' },
          }),
        ),
      );
      await Promise.all(leases.map((one) => one.registered));
      const seen = (await seenBySpring(name)) as { id: string }[];
      expect(seen.map(({ id }) => id).toSorted()).toEqual(
        ['plain', 'with space', 'ümläut', 'dots.and:colons'].toSorted(),
      );
    });

    it('configuration: both read the same keys of the same nodes', async () => {
      expect(await ask('/property?key=shared.greeting')).toBe('hello');
      expect(await ask('/property?key=limit.max')).toBe('a lot');
      const documents = new Map<string, unknown>();
      const watch = backend.config.watch({ kind: 'application', application: springName, profiles: [] }, (report) => {
        for (const { id, content } of report.documents ?? []) {
          documents.set(id, content.format === 'entries' ? content.entries : content);
        }
      });
      await until(() => documents.size === 2, 'we read it too');
      expect(documents.get('application')).toEqual({ 'shared.greeting': 'hello' });
      expect(documents.get(springName)).toEqual({ 'limit.max': 'a lot' });
      await watch.close();
    });
  });
});
