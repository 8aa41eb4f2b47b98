import 'reflect-metadata';
import { Controller, Get, Module, NotFoundException, ParseIntPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import {
  NatsEndpoint,
  NatsGroup,
  NatsPayload,
  NatsService,
  NatsServicesModule,
} from 'nestjs-service-discovery/nats/nest';
import { backend } from '../backend.js';

/** The same controller answers HTTP and NATS. */
@NatsGroup('stock')
@NatsService({
  name: 'STOCK',
  version: '1.0.0',
  description: 'prices of things',
  metadata: { pid: String(process.pid) },
})
@Controller()
class StockController {
  @Get('quote')
  quote() {
    return { price: 42, from: process.pid };
  }

  @NatsEndpoint({ metadata: { returns: 'price' } })
  price(@NatsPayload('item', ParseIntPipe) item: number) {
    if (item > 100) throw new NotFoundException(`there is no item ${item}`);
    return { item, price: item * 2, from: process.pid };
  }
}

@Module({
  controllers: [StockController],
  imports: [
    DiscoveryModule.forRoot({ service: { name: 'STOCK' }, registry: backend, config: backend }),
    // Shares the backend's connection.
    NatsServicesModule.forRoot(),
  ],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
await app.listen(0, '127.0.0.1');
