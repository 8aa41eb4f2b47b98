import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { credentials, makeClientConstructor, type Client, type ServiceClientConstructor } from '@grpc/grpc-js';
import { GrpcMethod, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { service } from 'grpc-health-check';
import { afterEach, expect, test } from 'vitest';
import { AppRegistration, DiscoveryModule } from '../../../lib/index.js';
import { GrpcHealth } from '../../../lib/integrations/microservices/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { freePortWith } from '../../servers/free-port.js';
import { PROTO } from './greeters.js';

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

test('the health of a gRPC server is the readiness of its app', async () => {
  @Controller()
  class Greeter {
    @GrpcMethod('Greeter', 'Hello')
    hello(): { text: string } {
      return { text: 'hello' };
    }
  }
  const backend = new InMemoryRegistry().backend();
  @Module({
    controllers: [Greeter],
    imports: [DiscoveryModule.forRoot({ service: { name: 'GREETER' }, registry: backend, config: backend })],
  })
  class AppModule {}
  const health = await GrpcHealth.load();
  const url = `127.0.0.1:${await freePortWith([])}`;
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule, {
    logger: false,
    transport: Transport.GRPC,
    options: { package: 'hello', protoPath: PROTO, url, onLoadPackageDefinition: health.onLoadPackageDefinition },
  });
  closing.push(() => app.close());
  await app.listen();
  const Health: ServiceClientConstructor = makeClientConstructor(service, 'Health');
  const client = new Health(url, credentials.createInsecure());
  closing.push(() => client.close());
  const check = (name: string): Promise<unknown> =>
    new Promise((resolve) => {
      const ask = (client as Client & Record<string, (...args: unknown[]) => unknown>)['check'];
      ask?.call(client, { service: name }, (error: { code: number } | null, answer?: { status: string }) =>
        resolve(error === null ? answer?.status : error.code),
      );
    });
  // Nobody has said yet whose health it is.
  expect(await check('')).toBe('NOT_SERVING');
  health.follow(app);
  await expect.poll(() => check('')).toBe('SERVING');
  expect(await check('hello.Greeter')).toBe('SERVING');
  expect(await check('hello.Question')).toBe(5);
  const registration = app.get(AppRegistration);
  await registration.pause('maintenance');
  expect(await check('')).toBe('NOT_SERVING');
  expect(await check('hello.Greeter')).toBe('NOT_SERVING');
  await registration.resume();
  expect(await check('')).toBe('SERVING');
  const heard: unknown[] = [];
  const watch = (client as Client & Record<string, (...args: unknown[]) => never>)['watch'] as
    ((question: object) => { on(event: string, listener: (one: { status: string }) => void): unknown }) | undefined;
  const stream = watch?.call(client, { service: '' });
  stream?.on('data', ({ status }) => heard.push(status));
  stream?.on('error', () => {});
  await expect.poll(() => heard).toEqual(['SERVING']);
  await registration.shutDown();
  await expect.poll(() => heard).toEqual(['SERVING', 'NOT_SERVING']);
});
