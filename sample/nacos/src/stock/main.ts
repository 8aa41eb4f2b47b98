import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ConfigValue, DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { backend } from '../backend.js';

@Controller()
class StockController {
  @ConfigValue('stock.limit', 10) private readonly limit!: number;

  @Get('quote')
  quote() {
    return { item: 'tea', left: Math.ceil(Math.random() * this.limit), limit: this.limit, answeredBy: process.pid };
  }
}

@Module({
  controllers: [StockController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'STOCK' }, registry: backend, config: backend })],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
await app.listen(0, '127.0.0.1');
