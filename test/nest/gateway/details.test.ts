import { Module, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { DETAILS, type DetailsTarget } from '../../gateway-peers/details.js';
import { DetailsUpstream } from '../../gateway-peers/upstream.js';
import { portOf } from '../support.js';

// The list that `npm run gateway:peers` runs beside other gateways.
describe.each(['express', 'fastify'] as const)('what a gateway should be right about, on %s', (platform) => {
  let app: INestApplication;
  let target: DetailsTarget;
  beforeAll(async () => {
    const upstream = await DetailsUpstream.start();
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: upstream.port });
    const backend = registry.backend();
    @Module({
      imports: [
        ServiceGatewayModule.forRoot({ routes: [{ path: '/stock/**', service: 'STOCK', stripPrefix: 1 }] }),
        DiscoveryModule.forRoot({ registry: backend, config: backend }),
      ],
    })
    class AppModule {}
    const options = { logger: false as const, abortOnError: false };
    app =
      platform === 'fastify'
        ? await NestFactory.create(AppModule as Type, new FastifyAdapter(), options)
        : await NestFactory.create(AppModule as Type, options);
    await app.listen(0, '127.0.0.1');
    target = { port: portOf(app), upstream };
  });
  afterAll(async () => {
    await app.close();
    await target.upstream.close();
  });

  test.each(DETAILS)('$name', async (detail) => {
    const observed = await detail.request(target);
    detail.assert(observed, target);
  });
});
