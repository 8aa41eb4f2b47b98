import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { common, SERVICE } from '../backend.js';

@Controller()
class StockController {
  @Get('quote')
  quote() {
    return { item: 'tea', answeredBy: process.pid };
  }
}

@Module({
  controllers: [StockController],
  imports: [DiscoveryModule.forRoot({ ...common, service: { name: SERVICE } })],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['error'] }));
await app.listen(0, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
