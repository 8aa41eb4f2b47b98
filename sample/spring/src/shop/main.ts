import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
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
    @DiscoverableClient('SPRING-PRICES') private readonly prices: ServiceHttpClient,
  ) {}

  /** Asks the Spring service, which asks our stock before it answers. */
  @Get('offers/:item')
  offer(@Param('item') item: string): Observable<unknown> {
    return this.prices.get(`/prices/${encodeURIComponent(item)}`).pipe(map(({ data }): unknown => data));
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    const found = await Promise.all(
      ['SPRING-PRICES', 'NEST-STOCK'].map((service) => this.discovery.getInstances(service)),
    );
    return found.flat().map(({ id, url, status }) => ({ id, url, status }));
  }
}

@Module({
  controllers: [ShopController],
  imports: [
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'NEST-SHOP' }, registry }),
  ],
})
class ShopModule {}

const app = enableGracefulShutdown(await NestFactory.create(ShopModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
