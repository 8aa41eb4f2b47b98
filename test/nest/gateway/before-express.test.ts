import {
  Controller,
  Get,
  Module,
  UseGuards,
  VersioningType,
  type CanActivate,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import { AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import express from 'express';
import { afterEach, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { isHookRunner } from '../../../lib/integrations/gateway/ahead-of-express.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf } from '../support.js';
import { ask, upstream, type Upstream } from './support.js';

interface Running {
  readonly port: number;
  readonly service: Upstream;
  /** Requests that Express has seen. */
  readonly seen: string[];
  readonly guarded: unknown[];
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

type AnyMiddleware = (
  request: { url: string },
  response: { setHeader(name: string, value: string): void },
  next: () => void,
) => void;

async function start(
  prepare: (adapter: ExpressAdapter, app: NestExpressApplication) => void = () => {},
  adapter = new ExpressAdapter(),
): Promise<Running> {
  const service = await upstream();
  const registry = new InMemoryRegistry();
  registry.addInstance('A', { port: service.port });
  const backend = registry.backend();
  const guarded: unknown[] = [];
  const guard: CanActivate = {
    canActivate(context: ExecutionContext) {
      const request = context.switchToHttp().getRequest<{ ip?: string; get?(name: string): string }>();
      guarded.push([request.ip?.includes('127.0.0.1'), request.get?.('x-key')]);
      return true;
    },
  };
  @Controller()
  class OwnController {
    @Get('own') @UseGuards(guard) own(): string {
      return 'own';
    }
  }
  @Module({
    controllers: [OwnController],
    imports: [
      ServiceGatewayModule.forRoot({
        routes: [
          { path: '/a/**', service: 'A' },
          { path: '/guarded/**', service: 'A', guards: [guard] },
        ],
      }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const seen: string[] = [];
  const instance = adapter.getInstance<{ handle: AnyMiddleware }>();
  const { handle } = instance;
  instance.handle = (request, ...more) => {
    seen.push(request.url);
    Reflect.apply(handle, instance, [request, ...more]);
  };
  const app = await NestFactory.create<NestExpressApplication>(AppModule as Type, adapter, {
    logger: false,
    abortOnError: false,
  });
  closing.push(() => app.close());
  prepare(adapter, app);
  await app.listen(0, '127.0.0.1');
  return { port: portOf(app), service, seen, guarded };
}

test('what no guard has to see is passed on without Express; guards and own routes have it as ever', async () => {
  const { port, service, seen, guarded } = await start();
  expect(
    (await ask(port, '/a/x', { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } }))
      .status,
  ).toBe(200);
  expect(service.seen[0]?.body.toString()).toBe('{"a":1}');
  expect(seen).toEqual([]);
  expect((await ask(port, '/own', { headers: { 'x-key': '1' } })).text()).toBe('own');
  expect((await ask(port, '/guarded/x', { headers: { 'x-key': '2' } })).status).toBe(200);
  expect((await ask(port, '/nothing')).status).toBe(404);
  expect(seen).toEqual(['/own', '/guarded/x', '/nothing']);
  expect(guarded).toEqual([
    [true, '1'],
    [true, '2'],
  ]);
});

test('what the app has put before it is not passed over: middleware', async () => {
  const middleware: AnyMiddleware = (_request, response, next) => {
    response.setHeader('x-by', 'app');
    next();
  };
  const { port, seen } = await start((adapter) => adapter.use(middleware));
  expect((await ask(port, '/a/x')).headers).toMatchObject({ 'x-by': 'app' });
  expect(seen).toEqual(['/a/x']);
});

test('and hooks of the adapter, whenever they come', async () => {
  let adapter: ExpressAdapter | undefined;
  const { port, seen } = await start((own) => (adapter = own));
  await ask(port, '/a/1');
  const hooked: string[] = [];
  adapter?.setOnRequestHook((request: { url: string }, _response: unknown, done: () => void) => {
    hooked.push(request.url);
    done();
  });
  expect((await ask(port, '/a/2')).status).toBe(200);
  expect({ hooked, seen }).toEqual({ hooked: ['/a/2'], seen: ['/a/2'] });
});

test.each<[string, (app: NestExpressApplication) => unknown]>([
  ['a global prefix', (app) => app.setGlobalPrefix('api')],
  ['versioning', (app) => app.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' })],
  ['settings of Express', (app) => app.set('trust proxy', true).disable('x-powered-by')],
  ['shutdown hooks', (app) => app.enableShutdownHooks()],
  ['parsers of its own', (app) => app.useBodyParser('json', { limit: '50mb' }).useBodyParser('text')],
])('what puts nothing before it changes nothing: %s', async (_, prepare) => {
  const { port, seen, service } = await start((__, app) => void prepare(app));
  const asked = await ask(port, '/a/x', {
    method: 'POST',
    body: '{ "a": 1 }',
    headers: { 'content-type': 'application/json' },
  });
  expect(asked.status).toBe(200);
  expect(service.seen[0]?.body.toString()).toBe('{ "a": 1 }');
  expect(seen).toEqual([]);
});

test('a guard of the app, whenever it comes, is asked', async () => {
  let app: NestExpressApplication | undefined;
  const { port, seen } = await start((_, own) => (app = own));
  expect((await ask(port, '/a/1')).status).toBe(200);
  app?.useGlobalGuards({ canActivate: () => false });
  expect((await ask(port, '/a/2')).status).toBe(403);
  expect(seen).toEqual(['/a/2']);
});

const marking: AnyMiddleware = (_request, response, next) => {
  response.setHeader('x-by', 'app');
  next();
};

// The gateway comes before Nest's parsers, and not before a parser of the app's that other middleware follows.
test.each<[string, (app: NestExpressApplication) => unknown]>([
  ['after a parser', (app) => app.use(express.json({ limit: '50mb' })).use(marking)],
  ['after one of useBodyParser', (app) => app.useBodyParser('json', { limit: '50mb' }).use(marking)],
  ['between parsers', (app) => app.use(express.json()).use(marking).use(express.text())],
  ['CORS after a parser', (app) => app.use(express.json()).use(marking).enableCors({ origin: 'https://shop.example' })],
  ['for a path', (app) => app.use('/a', marking)],
])('middleware is not passed over: %s', async (_, prepare) => {
  const { port, seen, service } = await start((__, app) => void prepare(app));
  const answer = await ask(port, '/a/x', {
    method: 'POST',
    body: '{"a":1}',
    headers: { 'content-type': 'application/json' },
  });
  expect(answer).toMatchObject({ status: 200, headers: { 'x-by': 'app' } });
  expect(service.seen[0]?.body.toString()).toBe('{"a":1}');
  expect(seen).toEqual(['/a/x']);
});

test("middleware of an Express of the app's own is not passed over, though it looks like Nest's", async () => {
  const own = express();
  let calls = 0;
  own.use((_request, _response, next) => {
    // this.onRequestHook, this.onResponseHook: what Nest's own speaks of
    calls += 1;
    next();
  });
  const adapter = new ExpressAdapter(own);
  // Alone before the gateway.
  own.router.stack.splice(1, 1);
  const { port, seen } = await start(() => {}, adapter);
  expect((await ask(port, '/a/x')).status).toBe(200);
  expect({ calls, seen }).toEqual({ calls: 1, seen: ['/a/x'] });
});

test('nor is what a derived adapter puts there', async () => {
  const made: unknown[] = [];
  class OwnAdapter extends ExpressAdapter {
    constructor() {
      super();
      made.push(this);
      this.use(marking);
    }
  }
  const { port, seen } = await start(() => {}, new OwnAdapter());
  expect((await ask(port, '/a/x')).headers).toMatchObject({ 'x-by': 'app' });
  expect(seen).toEqual(['/a/x']);
  // To know Nest's own, no other one of the app's was made.
  expect(made).toHaveLength(1);
});

test('hooks are known by what Nest itself puts there, which must do nothing', () => {
  type Next = () => void;
  const adapterOf = (middleware: (request: { url?: string }, response: object, next: Next) => void): object => {
    const { [0]: made } = [
      class extends (AbstractHttpAdapter as unknown as new (instance: { use(added: unknown): void }) => object) {
        constructor(instance: { use(added: unknown): void }) {
          super(instance);
          instance.use(middleware);
        }
      },
    ];
    return new made({ use: () => {} });
  };
  const quiet = (_request: object, _response: object, next: Next): void => next();
  expect(isHookRunner(adapterOf(quiet), quiet)).toBe(true);
  const written = (_request: object, _response: object, next: Next): void => {
    next();
  };
  expect(isHookRunner(adapterOf(quiet), written)).toBe(false);
  const reading = (request: { url?: string }, _response: object, next: Next): void => {
    if (request.url !== '') next();
  };
  const late = (_request: object, _response: object, next: Next): void => queueMicrotask(next);
  const twice = (_request: object, _response: object, next: Next): void => {
    next();
    next();
  };
  for (const other of [reading, late, twice]) expect(isHookRunner(adapterOf(other), other)).toBe(false);
  const bound = quiet.bind(undefined);
  expect(isHookRunner(adapterOf(bound), bound)).toBe(false);
  expect(isHookRunner({}, quiet)).toBe(false);
});
