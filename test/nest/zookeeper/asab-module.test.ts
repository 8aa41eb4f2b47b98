import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Inject, Module, Req, UseGuards, type INestApplication } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import axios from 'axios';
import { firstValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { asab, curator, zookeeper, type ZooKeeperOptions } from '../../../lib/backends/zookeeper/index.js';
import {
  AsabAuthGuard,
  asabCallerOf,
  AsabDiscovery,
  AsabModule,
  AsabTools,
} from '../../../lib/backends/zookeeper/nest/index.js';
import { DiscoveryModule, ServiceHttpClient } from '../../../lib/index.js';
import { freshName } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { Opened, until } from '../../wings/zookeeper/support.js';

@Controller()
class CallerController {
  constructor(
    @Inject(ServiceHttpClient) private readonly http: ServiceHttpClient,
    @Inject(AsabTools) private readonly tools: AsabTools,
  ) {}

  @Get('forward')
  async forward(): Promise<unknown> {
    return (await firstValueFrom(this.http.get('http://guarded.service_id.asab/who'))).data;
  }

  @Get('internal')
  async internal(): Promise<unknown> {
    const client = this.tools.discoverable(axios.create(), { auth: 'internal' });
    return (await client.get<unknown>('http://guarded.service_id.asab/who')).data;
  }
}

@Controller()
class GuardedController {
  @Get('who')
  @UseGuards(AsabAuthGuard)
  who(@Req() request: object): unknown {
    const caller = asabCallerOf(request);
    return { internal: caller?.internal, issuer: caller?.claims['iss'] };
  }
}

const PLATFORMS = { Express: () => new ExpressAdapter(), Fastify: () => new FastifyAdapter() };

withServer('zookeeper', {}, (server) => {
  const opened = new Opened();

  async function start(
    name: string,
    controller: new (...dependencies: never[]) => object,
    options: ZooKeeperOptions,
    platform: keyof typeof PLATFORMS = 'Express',
    bind = '127.0.0.1',
  ): Promise<{ app: INestApplication; url: string }> {
    @Module({
      imports: [
        AsabModule.forRoot(),
        DiscoveryModule.forRoot({
          service: { name, host: '127.0.0.1' },
          registry: zookeeper({ servers: server.url, sessionTimeoutMs: 2000, ...options }),
        }),
      ],
      controllers: [controller],
    })
    class App {}
    const testing = await Test.createTestingModule({ imports: [App] }).compile();
    const app = testing.createNestApplication(PLATFORMS[platform](), { logger: false });
    opened.add(() => app.close());
    await app.listen(0, bind);
    return { app, url: await app.getUrl() };
  }

  describe('the Nest room', () => {
    it.each(['Express', 'Fastify'] as const)(
      'guards with the cluster’s tokens, forwards the incoming authorization, calls with internal rights, on %s',
      async (platform) => {
        const layout = asab({ path: freshName('nest'), host: '127.0.0.1', manifest: false });
        const root = `${server.url}/${freshName('nest')}`;
        const guarded = await start('guarded', GuardedController, { servers: root, layout }, platform);
        const caller = await start('caller', CallerController, { servers: root, layout }, platform);
        const discovery = caller.app.get(AsabDiscovery);
        await until(async () => (await discovery.locate({ service_id: 'guarded' })).size === 1, 'it is found');
        const statusOf = async (url: string, headers = {}): Promise<number> =>
          (await axios.get(url, { headers, validateStatus: () => true })).status;
        expect(await statusOf(`${guarded.url}/who`)).toBe(401);
        expect(await statusOf(`${guarded.url}/who`, { authorization: 'Bearer x.y.z' })).toBe(401);
        const token = await caller.app.get(AsabTools).internal.token();
        const authorization = `Bearer ${token}`;
        expect((await axios.get(`${guarded.url}/who`, { headers: { authorization } })).data).toEqual({
          internal: true,
          issuer: 'http://caller.service_id.asab',
        });
        expect((await axios.get(`${caller.url}/internal`)).data).toMatchObject({ internal: true });
        expect((await axios.get(`${caller.url}/forward`, { headers: { authorization } })).data).toMatchObject({
          internal: true,
        });
        expect(await statusOf(`${caller.url}/forward`)).not.toBe(200);
      },
    );

    it.each([
      ['127.0.0.1', [['127.0.0.1']], []],
      ['0.0.0.0', [['0.0.0.0']], ['http://host-1']],
      ['::', [['0.0.0.0'], ['::', 0, 0]], ['http://host-1']],
    ])('the record says what the server is bound to, as ASAB writes it: %s', async (bind, web, located) => {
      const path = freshName('nest');
      for (const platform of ['Express', 'Fastify'] as const) {
        const layout = asab({ path, host: 'host-1', appClass: platform, manifest: false });
        const { app } = await start(
          platform.toLowerCase(),
          GuardedController,
          { servers: server.url, layout },
          platform,
          bind,
        );
        const { port } = (app.getHttpServer() as Server).address() as AddressInfo;
        const client = await opened.client(server.url);
        const node = await until(
          async () => (await client.getChildren(`/${path}/run`))?.find((name) => name.startsWith(platform)),
          'it is registered',
        );
        const record = JSON.parse(String((await client.getData(`/${path}/run/${node}`))?.data)) as unknown;
        expect(record).toMatchObject({ web: web.map(([ip, ...rest]) => [ip, port, ...rest]) });
        const found = await app.get(AsabDiscovery).locate({ service_id: platform.toLowerCase() });
        expect([...found]).toEqual(located.map((url) => `${url}:${port}`));
      }
    });

    it('without the ASAB layout the app does not start', async () => {
      const layout = curator({ basePath: `/${freshName('nest')}` });
      await expect(start('x', GuardedController, { layout })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    });
  });
});
