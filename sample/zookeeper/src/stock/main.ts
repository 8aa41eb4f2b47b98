import 'reflect-metadata';
import { Controller, Get, Module, Post, Req, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ConfigValue, DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { AsabAuthGuard, asabCallerOf, AsabModule } from 'nestjs-service-discovery/zookeeper/nest';
import { backend } from '../backend.js';

@Controller()
class StockController {
  /** Set it while it runs: `create /config/stock/limit 25` in zkCli.sh. */
  @ConfigValue('limit', 10) private readonly limit!: number;

  @Get('quote')
  quote() {
    return { item: 'tea', left: Math.ceil(Math.random() * this.limit), limit: this.limit, answeredBy: process.pid };
  }

  /** For other applications of the cluster only. */
  @Post('reserve')
  @UseGuards(AsabAuthGuard)
  reserve(@Req() request: object) {
    return { reserved: 1, for: asabCallerOf(request)?.claims['iss'], answeredBy: process.pid };
  }
}

@Module({
  controllers: [StockController],
  imports: [
    AsabModule.forRoot(),
    DiscoveryModule.forRoot({ service: { name: 'stock' }, registry: backend, config: backend }),
  ],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
await app.listen(0, '127.0.0.1');
