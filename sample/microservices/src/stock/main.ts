import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { common } from '../backend.js';

const lane = process.env['LANE'];

@Controller()
class StockController {
  @MessagePattern('quote')
  quote(@Payload() { item }: { readonly item: string }) {
    return { item, left: Math.ceil(Math.random() * 10), lane: lane ?? 'base', answeredBy: process.pid };
  }
}

@Module({
  controllers: [StockController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'STOCK', ...(lane && { metadata: { lane } }) }, ...common })],
})
class StockModule {}

const app = await NestFactory.createMicroservice<MicroserviceOptions>(StockModule, {
  logger: ['warn', 'error'],
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: 0 },
});
enableGracefulShutdown(app);
await app.listen();
