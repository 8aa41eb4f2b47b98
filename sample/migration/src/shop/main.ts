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
import { map, type Observable } from 'rxjs';
import { common, SERVICE } from '../backend.js';

@Controller()
class ShopController {
  constructor(
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient(SERVICE) private readonly stock: ServiceHttpClient,
  ) {}

  @Get()
  offer(): Observable<unknown> {
    return this.stock.get('/quote').pipe(map(({ data }): unknown => data));
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    return (await this.discovery.getInstances(SERVICE)).map(({ url, status }) => ({ url, status }));
  }
}

@Module({ controllers: [ShopController], imports: [DiscoveryModule.forRoot(common)] })
class ShopModule {}

const app = enableGracefulShutdown(await NestFactory.create(ShopModule, { logger: ['error'] }));
await app.listen(0, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
