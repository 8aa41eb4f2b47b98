import type { ServerResponse } from 'node:http';
import { Controller, Get, Module, Param, Post, type INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { describe, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import {
  GatewayOpenApi,
  ServiceGatewayModule,
  type ServiceGatewayOptions,
} from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createOn, LogCollector, portOf, type Platform } from '../support.js';
import { ask, upstream, type Upstream } from './support.js';

@Controller('status')
class StatusController {
  @Get() status(): string {
    return 'well';
  }
}

const own = new DocumentBuilder().setTitle('Shop').setDescription('All of it').build();

/** A gateway whose page shows its own routes and the services'. */
async function gateway(
  registry: InMemoryRegistry,
  options: ServiceGatewayOptions,
  { platform = 'express', logger }: { readonly platform?: Platform; readonly logger?: LogCollector } = {},
): Promise<INestApplication> {
  const backend = registry.backend();
  @Module({
    controllers: [StatusController],
    imports: [ServiceGatewayModule.forRoot(options), DiscoveryModule.forRoot({ registry: backend, config: backend })],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule, logger);
  SwaggerModule.setup('docs', app, SwaggerModule.createDocument(app, own), {
    ui: platform === 'express',
    patchDocumentOnRequest: (_request, _response, document) => app.get(GatewayOpenApi).merge(document),
  });
  await app.listen(0, '127.0.0.1');
  return app;
}

/** The page's document. */
async function shown(app: INestApplication): Promise<OpenAPIObject> {
  return (await ask(portOf(app), '/docs-json')).json() as OpenAPIObject;
}

/** A service that has nothing but a document, which may change. */
async function documented(document: unknown, path = '/docs-json'): Promise<Upstream & { document: unknown }> {
  const service = await upstream((request, response: ServerResponse) => {
    if (request.url !== path) return void response.writeHead(404).end();
    const { document: now } = told;
    response.end(typeof now === 'string' ? now : JSON.stringify(now));
  });
  const told = Object.assign(service, { document });
  return told;
}

const openapi = (more: object): object => ({ openapi: '3.0.0', info: { title: 'x', version: '1' }, ...more });
const answer = (ref: string): object => ({
  responses: { 200: { description: 'ok', content: { 'application/json': { schema: { $ref: ref } } } } },
});

describe.each(['express', 'fastify'] as const)('the documents of services on one page, on %s', (platform) => {
  test('a Nest service with a global prefix: its operations stand where the gateway forwards them', async () => {
    @Controller('items')
    class ItemsController {
      @Get(':id') one(@Param('id') id: string): string {
        return id;
      }

      @Post() add(): string {
        return 'added';
      }
    }
    @Module({ controllers: [ItemsController] })
    class StockModule {}
    const stock = await createOn('express', StockModule);
    stock.setGlobalPrefix('v1');
    SwaggerModule.setup('docs', stock, SwaggerModule.createDocument(stock, new DocumentBuilder().build()));
    await stock.listen(0, '127.0.0.1');
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: portOf(stock), metadata: { contextPath: '/v1' } });
    const app = await gateway(
      registry,
      { routes: [{ path: '/api/stock/**', service: 'STOCK', stripPrefix: 2 }], openApi: { path: '/docs-json' } },
      { platform },
    );
    const { paths, info } = await shown(app);
    expect(Object.keys(paths)).toEqual(['/status', '/api/stock/items/{id}', '/api/stock/items']);
    expect(paths['/api/stock/items/{id}']?.get?.parameters).toMatchObject([{ name: 'id', in: 'path' }]);
    expect(info.description).toBe('All of it');
    // What the page says is so.
    expect((await ask(portOf(app), '/api/stock/items/7')).text()).toBe('7');
    if (platform === 'express') {
      expect((await ask(portOf(app), '/docs/swagger-ui-init.js')).text()).toContain('/api/stock/items/{id}');
    }
  });
});

test('paths as routes strip, rewrite and narrow them; what no route leads to is not shown', async () => {
  const registry = new InMemoryRegistry();
  const get = { get: answer('#/components/schemas/A') };
  const stock = await documented(
    openapi({
      paths: {
        '/': get,
        '/items': { ...get, post: {} },
        '/v2/items/{itemId}': get,
        '/kept/x': get,
        '/internal': { get: answer('#/components/schemas/Secret') },
      },
      components: { schemas: { A: { type: 'string' }, Secret: { type: 'string' } } },
    }),
    '/internal-docs',
  );
  registry.addInstance('STOCK', { port: stock.port });
  registry.addInstance('OTHER', { port: stock.port });
  const app = await gateway(registry, {
    routes: [
      { path: '/:tenant/root', service: 'STOCK', rewrite: '/' },
      { path: '/shop/items', service: 'STOCK', stripPrefix: 1, when: { methods: ['get'] } },
      { path: '/things/:id', service: 'STOCK', rewrite: '/v2/items/:id' },
      { path: '/kept/**', service: 'STOCK' },
      { path: '/other/**', service: 'OTHER', stripPrefix: 1 },
    ],
    openApi: { path: { STOCK: '/internal-docs' } },
  });
  const { paths, components } = await shown(app);
  expect(Object.entries(paths).map(([path, item]) => [path, Object.keys(item)])).toEqual([
    ['/status', ['get']],
    ['/{tenant}/root', ['get']],
    ['/shop/items', ['get']],
    ['/things/{itemId}', ['get']],
    ['/kept/x', ['get']],
  ]);
  expect(paths['/{tenant}/root']?.get).toMatchObject({
    tags: ['STOCK'],
    parameters: [{ name: 'tenant', in: 'path', required: true }],
  });
  expect(components?.schemas).toEqual({ A: { type: 'string' } });
});

test('names that two services have for two things get the service’s before them, and what refers to them does too', async () => {
  const registry = new InMemoryRegistry();
  const document = (type: string, mapped: string): object =>
    openapi({
      paths: { '/one': { get: { ...answer('#/components/schemas/Page'), operationId: 'one' } } },
      security: [{ key: ['a'] }],
      components: {
        schemas: {
          Page: {
            properties: { item: { $ref: '#/components/schemas/Item' }, same: { $ref: '#/components/schemas/Same' } },
          },
          Item: { type, discriminator: { propertyName: 'kind', mapping: { x: mapped } } },
          Same: { type: 'object' },
          Kind: { enum: [type] },
        },
        securitySchemes: { key: { type: 'apiKey', in: 'header', name: `x-${type}` } },
      },
    });
  for (const [name, type] of [
    ['A', 'string'],
    ['B b', 'number'],
  ] as const) {
    const service = await documented(document(type, name === 'A' ? 'Kind' : '#/components/schemas/Kind'));
    registry.addInstance(name, { port: service.port });
  }
  const app = await gateway(registry, {
    routes: ['A', 'B b'].map((service, at) => ({ path: `/${at}/**`, service, stripPrefix: 1 })),
    openApi: { path: '/docs-json' },
  });
  const { paths, components } = await shown(app);
  const schemas = components?.schemas as Record<string, object>;
  expect(Object.keys(schemas)).toEqual(['Page', 'Item', 'Same', 'Kind', 'B_b.Page', 'B_b.Item', 'B_b.Kind']);
  expect(schemas['B_b.Page']).toEqual({
    properties: { item: { $ref: '#/components/schemas/B_b.Item' }, same: { $ref: '#/components/schemas/Same' } },
  });
  expect(schemas['Item']).toMatchObject({ discriminator: { mapping: { x: '#/components/schemas/Kind' } } });
  expect(schemas['B_b.Item']).toMatchObject({ discriminator: { mapping: { x: '#/components/schemas/B_b.Kind' } } });
  expect(paths['/0/one']?.get).toMatchObject({ operationId: 'one', security: [{ key: ['a'] }] });
  expect(paths['/1/one']?.get).toMatchObject({
    ...answer('#/components/schemas/B_b.Page'),
    operationId: 'B_b_one',
    security: [{ 'B_b.key': ['a'] }],
  });
  expect(components?.securitySchemes).toMatchObject({ key: { name: 'x-string' }, 'B_b.key': { name: 'x-number' } });
  // The gateway's own is what it was.
  expect(paths['/status']?.get?.security).toBeUndefined();
});

test('one that doesn’t answer any more leaves its last document, and the page says so; nobody is asked too often', async () => {
  const logger = new LogCollector();
  const registry = new InMemoryRegistry();
  const stock = await documented(openapi({ paths: { '/a': { get: {} } } }));
  registry.addInstance('STOCK', { port: stock.port });
  const routes = [
    { path: '/stock/**', service: 'STOCK', stripPrefix: 1 },
    { path: '/gone/**', service: 'GONE', stripPrefix: 1 },
  ];
  const cached = await gateway(registry, { routes, openApi: { path: '/docs-json' } });
  // The later app has Nest's logger.
  const app = await gateway(registry, { routes, openApi: { path: '/docs-json', maxAgeMs: 0 } }, { logger });
  for (const one of [app, cached]) {
    const { paths, info } = await shown(one);
    expect(paths).toHaveProperty('/stock/a');
    expect(info.description).toBe(
      'All of it\n\n**GONE**: its document can’t be read now (NO_INSTANCE); nothing of it is shown.',
    );
  }
  stock.document = openapi({ paths: { '/b': { get: {} } } });
  expect((await shown(app)).paths).toHaveProperty('/stock/b');
  expect((await shown(cached)).paths).toHaveProperty('/stock/a');
  stock.document = 'no more';
  const { paths, info } = await shown(app);
  expect(paths).toHaveProperty('/stock/b');
  expect(info.description).toMatch(
    /\*\*STOCK\*\*: its document can’t be read now \(it is no JSON\); shown as of \d{4}-/,
  );
  await stock.close();
  const late = await shown(app);
  expect(late.paths).toHaveProperty('/stock/b');
  expect(late.info.description).not.toContain('127.0.0.1');
  const told = logger.lines.filter((line) => line.includes('the OpenAPI document of STOCK'));
  expect(told).toHaveLength(1);
});

test('documents are strangers’ words', async () => {
  const registry = new InMemoryRegistry();
  const deep = `{"openapi":"3.0.0","paths":{"/deep":${'{"x":'.repeat(50_000)}1${'}'.repeat(50_000)}}}`;
  const documents: Readonly<Record<string, unknown>> = {
    LARGE: openapi({ paths: { '/large': { get: { description: 'x'.repeat(10_000) } } } }),
    DEEP: deep,
    OLD: { swagger: '2.0', paths: { '/old': { get: {} } } },
    LIST: [],
    ODD: openapi({ paths: { '/odd': null, '/even': 'x', none: { get: {} } }, components: 7, tags: 'x', servers: [1] }),
    PROTO: `{"openapi":"3.0.0","__proto__":{"polluted":1},"paths":{"__proto__":{"get":{}},"/proto":{"get":{"__proto__":{"polluted":1},"responses":{}}}},
      "components":{"schemas":{"__proto__":{"type":"string"}}}}`,
    OUTSIDE: openapi({
      servers: [{ url: 'http://10.0.0.5:8080' }],
      paths: {
        '/outside': {
          servers: [{ url: 'http://10.0.0.5:8080' }],
          get: {
            servers: [{ url: 'http://10.0.0.5:8080' }],
            parameters: [{ $ref: 'http://10.0.0.5/p.json' }, { name: 'q', in: 'query' }],
            ...answer('http://10.0.0.5/schema.json#/A'),
          },
          post: answer('#/components/schemas/Way'),
          put: answer('#/paths/~1status/get'),
        },
        '/item': { $ref: 'http://10.0.0.5/item.json' },
      },
      components: { schemas: { Way: { properties: { $ref: { type: 'string' }, a: { $ref: 'file:///etc/passwd' } } } } },
    }),
  };
  for (const [name, document] of Object.entries(documents)) {
    registry.addInstance(name, { port: (await documented(document)).port });
  }
  const app = await gateway(registry, {
    routes: Object.keys(documents).map((service) => ({ path: `/${service}/**`, service, stripPrefix: 1 })),
    openApi: { path: '/docs-json', maxBytes: 1_000_000 },
  });
  const text = (await ask(portOf(app), '/docs-json')).text();
  const document = JSON.parse(text) as OpenAPIObject;
  expect(Object.keys(document.paths)).toEqual(['/status', '/LARGE/large', '/PROTO/proto', '/OUTSIDE/outside']);
  expect(text).not.toMatch(/10\.0\.0\.5|passwd|polluted|__proto__/);
  expect({}).not.toHaveProperty('polluted');
  expect(document.info.description?.match(/\*\*\w+\*\*[^.]*/g)).toEqual([
    '**DEEP**: its document can’t be read now (it is nested too deep); nothing of it is shown',
    '**OLD**: its document can’t be read now (it is no OpenAPI 3); nothing of it is shown',
    '**LIST**: its document can’t be read now (it is no OpenAPI 3); nothing of it is shown',
  ]);
  expect(document.paths['/OUTSIDE/outside']?.get?.parameters).toEqual([{ name: 'q', in: 'query' }]);
  expect(document.components?.schemas?.['Way']).toEqual({
    properties: {
      $ref: { type: 'string' },
      a: { description: 'described in another document, which is not shown' },
    },
  });
  const small = await gateway(registry, {
    routes: [{ path: '/large/**', service: 'LARGE', stripPrefix: 1 }],
    openApi: { path: '/docs-json', maxBytes: 5000 },
  });
  const limited = await shown(small);
  expect(Object.keys(limited.paths)).toEqual(['/status']);
  expect(limited.info.description).toContain('**LARGE**: its document can’t be read now');
});

test('what is asked without being set up, and wrong options, are refused by name', async () => {
  const app = await gateway(new InMemoryRegistry(), {});
  await expect(app.get(GatewayOpenApi).merge({})).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'openApi' });
  for (const [openApi, field] of [
    [{}, 'openApi.path'],
    [{ path: 'docs' }, 'openApi.path'],
    [{ path: '//evil.example/x' }, 'openApi.path'],
    [{ path: '/a/../b' }, 'openApi.path'],
    [{ path: { STOCK: 'docs' } }, 'openApi.path.STOCK'],
    [{ path: '/docs-json', maxBytes: 0 }, 'openApi.maxBytes'],
    [{ path: '/docs-json', url: 'x' }, 'openApi.url'],
  ] as const) {
    expect(() => ServiceGatewayModule.forRoot({ openApi: openApi as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field }),
    );
  }
});
