import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { DiscoveryClient, DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { GatewayOpenApi, ServiceGatewayModule } from 'nestjs-service-discovery/gateway';
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
      // Where the services have theirs; the page below shows what of it the routes forward.
      openApi: { path: '/docs-json' },
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
const own = SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('The shop').build());
SwaggerModule.setup('docs', app, own, {
  patchDocumentOnRequest: (_request, _response, document) => app.get(GatewayOpenApi).merge(document),
});
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
