import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Injectable, Module, type DynamicModule, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach } from 'vitest';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from '../../../lib/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** Ends something after the test, the newest first. */
export function afterwards(end: () => unknown): void {
  ends.push(end);
}

/** A server on the loopback, ended after the test; gives its port. */
export async function serving(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** An app that calls STOCK, which has one instance that answers and one that nobody listens at. */
export async function shop(
  telemetry: DynamicModule,
): Promise<{ app: INestApplicationContext; stock: ServiceHttpClient; registry: InMemoryRegistry }> {
  const registry = new InMemoryRegistry();
  registry.addInstance('STOCK', { port: await serving((_request, response) => response.end('{}')) });
  registry.addInstance('STOCK', { port: 9, status: 'DOWN' });
  const backend = registry.backend();
  @Injectable()
  class Caller {
    constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
  }
  @Module({
    providers: [Caller],
    imports: [
      telemetry,
      DiscoveryModule.forRoot({ service: { name: 'SHOP', port: 1234 }, registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  afterwards(() => app.close());
  return { app, stock: app.get(Caller).stock, registry };
}
