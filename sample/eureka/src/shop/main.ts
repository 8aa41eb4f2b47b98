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
import { registry } from '../backend.js';

@Controller()
class ShopController {
  constructor(
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient('STOCK') private readonly stock: ServiceHttpClient,
  ) {}

  @Get()
  offer(): Observable<unknown> {
    return this.stock.get('/quote').pipe(map(({ data }) => ({ shop: 'open', stock: data })));
  }

  /** What the stock app asks for: the two call each other. */
  @Get('opening-hours')
  openingHours() {
    return { from: 8, to: 20 };
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    return (await this.discovery.getInstances('STOCK')).map(({ id, url, status }) => ({ id, url, status }));
  }
}

@Module({
  controllers: [ShopController],
  imports: [
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry }),
  ],
})
class ShopModule {}

const app = enableGracefulShutdown(await NestFactory.create(ShopModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '0.0.0.0');
process.send?.({ url: (await app.getUrl()).replace('0.0.0.0', '127.0.0.1') });
