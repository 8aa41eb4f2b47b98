import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryClient, DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { ServiceGatewayModule } from 'nestjs-service-discovery/gateway';
import { DiscoveryOperatorModule } from 'nestjs-service-discovery/operator';
import { backend } from '../backend.js';

@Controller()
class IndexController {
  constructor(private readonly discovery: DiscoveryClient) {}

  @Get()
  async index(): Promise<unknown> {
    return { services: await this.discovery.getServices() };
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    return (await this.discovery.getInstances('STOCK')).map(({ id, url, status }) => ({ id, url, status }));
  }
}

@Module({
  controllers: [IndexController],
  imports: [
    ServiceGatewayModule.forRoot({
      routesFrom: 'gateway.routes',
      // What isn't included stays inside, whatever is registered.
      locator: { include: ['STOCK'] },
      onAccess: ({ method, path, status, service, instance, durationMs }) => {
        process.stdout.write(`${method} ${path} ${status} ${service} ${instance ?? '-'} ${durationMs} ms\n`);
      },
    }),
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'GATEWAY' }, registry: backend, config: backend }),
  ],
})
class GatewayModule {}

const app = enableGracefulShutdown(await NestFactory.create(GatewayModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
