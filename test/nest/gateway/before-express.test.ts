import { Controller, Get, Module, UseGuards, type CanActivate, type ExecutionContext, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
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

async function start(prepare: (adapter: ExpressAdapter) => void = () => {}): Promise<Running> {
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
  const adapter = new ExpressAdapter();
  const seen: string[] = [];
  const express = adapter.getInstance<{ handle: AnyMiddleware }>();
  const { handle } = express;
  express.handle = (request, ...more) => {
    seen.push(request.url);
    Reflect.apply(handle, express, [request, ...more]);
  };
  const app = await NestFactory.create(AppModule as Type, adapter, { logger: false, abortOnError: false });
  closing.push(() => app.close());
  prepare(adapter);
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
