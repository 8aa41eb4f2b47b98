import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { DiscoveryOperatorModule } from 'nestjs-service-discovery/operator';
import { map, type Observable } from 'rxjs';
import { reader } from '../backend.js';

@Controller()
class GatewayController {
  constructor(
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient('stock') private readonly stock: ServiceHttpClient,
  ) {}

  @Get()
  index(): Observable<unknown> {
    return this.stock.get('/quote').pipe(map(({ data }): unknown => data));
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    return (await this.discovery.getInstances('stock')).map(({ id, url, weight }) => ({ id, url, weight }));
  }
}

@Module({
  controllers: [GatewayController],
  imports: [
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ registry: reader }),
  ],
})
class GatewayModule {}

const app = enableGracefulShutdown(await NestFactory.create(GatewayModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
