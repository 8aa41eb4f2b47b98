import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { writer } from '../backend.js';

@Controller()
class StockController {
  @Get('quote')
  quote() {
    return { item: 'tea', answeredBy: process.pid };
  }
}

@Module({
  controllers: [StockController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'stock' }, registry: writer, config: writer })],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
await app.listen(0, '127.0.0.1');
