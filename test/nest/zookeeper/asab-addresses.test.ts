import { createServer, type RequestListener } from 'node:http';
import { Agent as HttpsAgent, createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module, type INestApplication } from '@nestjs/common';
import axios, { AxiosError } from 'axios';
import { firstValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { asab, curator, NotDiscoveredError, zookeeper } from '../../../lib/backends/zookeeper/index.js';
import { AsabAuthorization, AsabModule, AsabTools } from '../../../lib/backends/zookeeper/nest/index.js';
import { serviceDispatcher } from '../../../lib/integrations/fetch/index.js';
import { DiscoveryModule, ServiceHttpClient, type DiscoveryModuleOptions } from '../../../lib/index.js';
import { freshName, freshPort } from '../../contract/contract-harness.js';
import { makeCertificates } from '../../servers/certificates.js';
import { withServer } from '../../servers/for-tests.js';
import type { TlsFiles } from '../../servers/types.js';
import { Opened } from '../../wings/zookeeper/support.js';
import { init } from '../support.js';

withServer('zookeeper', {}, (server) => {
  const opened = new Opened();

  /** What a server saw of a request. */
  interface Seen {
    readonly name: string;
    readonly url: string;
    readonly host: string;
    readonly authorization?: string;
  }

  async function answering(name: string, tls?: TlsFiles): Promise<number> {
    const answer: RequestListener = ({ url, headers }, response) => {
      response.setHeader('connection', 'close');
      response.end(JSON.stringify({ name, url, host: headers.host, authorization: headers.authorization }));
    };
    const made = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    opened.add(() => new Promise((resolve) => made.close(resolve)));
    return (made.address() as AddressInfo).port;
  }

  /** Puts a record there as another application would. */
  async function advertise(path: string, record: object): Promise<void> {
    const client = await opened.client(server.url);
    await client.create(`/${path}/run/Other.`, Buffer.from(JSON.stringify({ host: '127.0.0.1', ...record })), {
      mode: 'ephemeral-sequential',
    });
  }

  async function start(
    path: string,
    options: { readonly servers?: string; readonly core?: Partial<DiscoveryModuleOptions> } = {},
  ): Promise<{ app: INestApplication; http: ServiceHttpClient }> {
    const registry = zookeeper({
      servers: options.servers ?? server.url,
      sessionTimeoutMs: 2000,
      connectTimeoutMs: 500,
      layout: asab({ path, manifest: false }),
    });
    @Module({ imports: [AsabModule.forRoot(), DiscoveryModule.forRoot({ registry, ...options.core })] })
    class App {}
    const app = await init(App);
    return { app, http: app.get(ServiceHttpClient) };
  }

  const get = async (http: ServiceHttpClient, url: string, config = {}): Promise<Seen> =>
    (await firstValueFrom(http.get<Seen>(url, config))).data;

  const failing = (http: ServiceHttpClient, url: string): Promise<unknown> =>
    get(http, url).catch((error: unknown) => error);

  describe('.asab addresses through ServiceHttpClient', () => {
    it('the first call right after the start waits for the first answer', async () => {
      const path = freshName('cold');
      await advertise(path, { service_id: 'my.dotted_app', web: [['0.0.0.0', await answering('cold')]] });
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      await proxy.drop();
      const { http } = await start(path, { servers: proxy.url });
      let ended = false;
      const call = get(http, 'http://my.dotted_app.service_id.asab/x?y=1').finally(() => (ended = true));
      // The app's own client has already tried in vain.
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(ended).toBe(false);
      await proxy.heal();
      expect(await call).toMatchObject({ name: 'cold', url: '/x?y=1' });
    });

    it('go to the next instance when one takes no connection, from the first call on', async () => {
      const path = freshName('next');
      await advertise(path, { service_id: 'two', web: [['0.0.0.0', await answering('alive')]] });
      await advertise(path, { service_id: 'two', web: [['0.0.0.0', freshPort()]] });
      const { http } = await start(path);
      for (let round = 0; round < 6; round += 1) {
        expect(await get(http, 'http://two.service_id.asab/')).toMatchObject({ name: 'alive' });
      }
    });

    it('with the scheme https are called so', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'nsd-asab-'));
      opened.add(() => rm(folder, { recursive: true, force: true }));
      const tls = await makeCertificates(folder);
      const path = freshName('secure');
      await advertise(path, { instance_id: 'Secure-1', web: [['0.0.0.0', await answering('secure', tls)]] });
      const { http } = await start(path);
      const httpsAgent = new HttpsAgent({ ca: tls.ca });
      expect(await get(http, 'https://secure-1.instance_id.asab/s', { httpsAgent })).toMatchObject({
        name: 'secure',
        url: '/s',
      });
      // The same address over the other scheme is another place to call: TLS refuses plain text.
      const plain = await failing(http, 'http://secure-1.instance_id.asab/s');
      expect(plain).toBeInstanceOf(AxiosError);
      expect(plain).toMatchObject({ code: 'ECONNRESET' });
    });

    it('under which nothing is advertised are a NotDiscoveredError', async () => {
      const path = freshName('nothing');
      await advertise(path, { service_id: 'other', web: [['0.0.0.0', 1]] });
      const { http } = await start(path);
      const error = await failing(http, 'http://nobody.service_id.asab/');
      expect(error).toBeInstanceOf(NotDiscoveredError);
      expect(error).toMatchObject({
        code: 'NO_INSTANCE',
        service: 'nobody.service_id.asab',
        message: expect.stringContaining('nobody.service_id.asab'),
      });
    });

    it('that nobody could be asked for are one too, with another code', async () => {
      const { http } = await start(freshName('unasked'), {
        servers: `127.0.0.1:${freshPort()}`,
        core: { discovery: { firstSnapshotTimeoutMs: 300 } },
      });
      const error = await failing(http, 'http://nobody.service_id.asab/');
      expect(error).toBeInstanceOf(NotDiscoveredError);
      expect(error).toMatchObject({ code: 'NO_SNAPSHOT' });
    });

    it('whose hosts no name server knows are one, and say so', async () => {
      const path = freshName('unresolved');
      await advertise(path, { host: 'no-such-host.invalid', service_id: 'lost', web: [['0.0.0.0', 1]] });
      const { http } = await start(path);
      expect(await failing(http, 'http://lost.service_id.asab/')).toBeInstanceOf(NotDiscoveredError);
    });

    it.each(['http://asab/x', 'http://service_id.asab/x', 'http://.service_id.asab/x'])(
      'of a malformed name (%s) say what a right one looks like',
      async (url) => {
        const { http } = await start(freshName('malformed'));
        const error = await failing(http, url);
        expect(error).toBeInstanceOf(NotDiscoveredError);
        expect(error).toMatchObject({
          code: 'INVALID_NAME',
          message: expect.stringContaining('my-app.service_id.asab'),
        });
      },
    );

    it('leave other hosts untouched, and tell them no authorization', async () => {
      const path = freshName('others');
      const port = await answering('found');
      await advertise(path, { service_id: 'found', web: [['0.0.0.0', port]] });
      const { app, http } = await start(path);
      const incoming = { headers: { authorization: 'Bearer of-the-user' } };
      await app.get(AsabAuthorization).within(incoming, async () => {
        expect(await get(http, 'http://found.service_id.asab/')).toMatchObject({ authorization: 'Bearer of-the-user' });
        const direct = await get(http, `http://127.0.0.1:${port}/direct`);
        expect(direct).toEqual({ name: 'found', url: '/direct', host: `127.0.0.1:${port}` });
      });
      const elsewhere = await failing(http, 'http://found.service_id.asab.invalid/');
      expect(elsewhere).toMatchObject({ code: 'ENOTFOUND' });
    });

    it('are understood by any axios instance that the client or the tools make discoverable', async () => {
      const path = freshName('axios');
      await advertise(path, { service_id: 'any', web: [['0.0.0.0', await answering('any')]] });
      const { app, http } = await start(path);
      const instances = [http.discoverable(axios.create()), app.get(AsabTools).discoverable(axios.create())];
      for (const instance of instances) {
        const { data } = await instance.get<Seen>('http://any.service_id.asab/a');
        expect(data).toMatchObject({ name: 'any', url: '/a' });
        const nobody = await instance.get('http://nobody.service_id.asab/').catch((error: unknown) => error);
        expect(nobody).toBeInstanceOf(NotDiscoveredError);
      }
    });

    it.each<[string, (http: ServiceHttpClient) => (url: string) => Promise<Response>]>([
      ['fetch', (http) => http.fetch],
      [
        'the dispatcher of a fetch',
        (http) => {
          const dispatcher = serviceDispatcher(http);
          opened.add(() => dispatcher.destroy());
          return (url) => fetch(url, { dispatcher } as object);
        },
      ],
    ])('are understood by %s: found, elsewhere when one takes no connection, and not discovered', async (_, by) => {
      const path = freshName('fetched');
      await advertise(path, { service_id: 'two', web: [['0.0.0.0', await answering('alive')]] });
      await advertise(path, { service_id: 'two', web: [['0.0.0.0', freshPort()]] });
      const { app, http } = await start(path);
      const ask = by(http);
      await app.get(AsabAuthorization).within({ headers: { authorization: 'Bearer of-the-user' } }, async () => {
        for (let round = 0; round < 6; round += 1) {
          const found = (await (await ask('http://two.service_id.asab/x?y=1')).json()) as Seen;
          expect(found).toMatchObject({ name: 'alive', url: '/x?y=1', authorization: 'Bearer of-the-user' });
        }
      });
      const error: unknown = await ask('http://nobody.service_id.asab/').catch((thrown: unknown) => thrown);
      // fetch wraps what its dispatcher fails by.
      const told = error instanceof TypeError ? error.cause : error;
      expect(told).toBeInstanceOf(NotDiscoveredError);
      expect(told).toMatchObject({ code: 'NO_INSTANCE', service: 'nobody.service_id.asab' });
    });

    it.each([
      ['Curator’s layout', () => ({ registry: zookeeper({ servers: server.url, layout: curator() }) })],
      ['no ZooKeeper at all', () => ({})],
    ])('an app with %s that means to use them does not start', async (_, options) => {
      @Module({ imports: [AsabModule.forRoot(), DiscoveryModule.forRoot(options())] })
      class App {}
      await expect(init(App)).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        message: expect.stringContaining('layout: asab()'),
      });
    });
  });
});
