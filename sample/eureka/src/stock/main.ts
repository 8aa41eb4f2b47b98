import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  DiscoverableClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { catchError, map, of, type Observable } from 'rxjs';
import { registry } from '../backend.js';

@Controller()
class StockController {
  constructor(@DiscoverableClient('SHOP') private readonly shop: ServiceHttpClient) {}

  @Get('quote')
  quote(): Observable<unknown> {
    return this.shop.get('/opening-hours').pipe(
      map(({ data }): unknown => data),
      // In the first second nobody has read yet that there is a shop; then the answer goes without its hours.
      catchError(() => of(null)),
      map((openingHours) => ({ item: 'tea', openingHours, answeredBy: process.pid })),
    );
  }
}

@Module({
  controllers: [StockController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'STOCK' }, registry })],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
await app.listen(0, '0.0.0.0');
