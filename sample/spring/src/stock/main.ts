import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { registry } from '../backend.js';

/** What the Spring service asks for. */
@Controller()
class StockController {
  @Get('left/:item')
  left() {
    return { left: 12, answeredBy: `Node ${process.pid}` };
  }
}

@Module({
  controllers: [StockController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'NEST-STOCK' }, registry })],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
await app.listen(0, '127.0.0.1');
