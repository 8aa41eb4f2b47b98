import { connect, type ClientHttp2Session } from 'node:http2';
import { Controller, Get, Inject, Module, Req, Res, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule, ServiceProxy } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf } from '../support.js';
import { afterTest, upstream } from './support.js';

/** Asks over HTTP/2. */
async function ask(session: ClientHttp2Session, path: string): Promise<{ status: number; type: string; body: string }> {
  const stream = session.request({ ':path': path });
  const head = new Promise<Record<string, unknown>>((resolve, reject) => {
    stream.once('response', (headers) => resolve(headers));
    stream.once('error', reject);
  });
  let body = '';
  for await (const piece of stream.setEncoding('utf8')) body += String(piece);
  const headers = await head;
  return { status: Number(headers[':status']), type: String(headers['content-type']), body };
}

test('what comes by HTTP/2 is refused and says why; the app’s own routes have it', async () => {
  const service = await upstream();
  const registry = new InMemoryRegistry();
  registry.addInstance('A', { port: service.port });
  const backend = registry.backend();
  const errors: unknown[] = [];
  @Controller()
  class OwnController {
    constructor(@Inject(ServiceProxy) private readonly proxy: ServiceProxy) {}

    @Get('own') own(): string {
      return 'own';
    }

    @Get('by-hand') async byHand(@Req() request: object, @Res() reply: { send(body: string): unknown }): Promise<void> {
      await this.proxy.forward(request, reply, 'lb://A').catch((error: unknown) => errors.push(error));
      reply.send('not passed on');
    }
  }
  @Module({
    controllers: [OwnController],
    imports: [
      ServiceGatewayModule.forRoot({ routes: [{ path: '/a/**', service: 'A' }] }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const adapter = new FastifyAdapter({ http2: true } as object);
  const app = await NestFactory.create(AppModule as Type, adapter, { logger: false, abortOnError: false });
  afterTest(() => app.close());
  await app.listen(0, '127.0.0.1');
  const session = connect(`http://127.0.0.1:${portOf(app)}`);
  afterTest(() => session.destroy());
  const refused = await ask(session, '/a/x');
  expect(refused).toMatchObject({ status: 505, type: expect.stringContaining('application/problem+json') as string });
  expect(JSON.parse(refused.body)).toMatchObject({
    code: 'HTTP_2',
    detail: expect.stringContaining('HTTP/1.1') as string,
  });
  expect(await ask(session, '/own')).toMatchObject({ status: 200, body: 'own' });
  expect(await ask(session, '/by-hand')).toMatchObject({ status: 200, body: 'not passed on' });
  expect(errors).toMatchObject([{ code: 'UNSUPPORTED', field: 'request' }]);
  expect(service.seen).toEqual([]);
});
