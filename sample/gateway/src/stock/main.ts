import 'reflect-metadata';
import { Controller, Get, Module, Param, Sse } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { interval, map, type Observable } from 'rxjs';
import { backend } from '../backend.js';

@Controller()
class StockController {
  @Get('quote/:item')
  quote(@Param('item') item: string) {
    return { item, left: Math.ceil(Math.random() * 10), answeredBy: process.pid };
  }

  @Sse('ticks')
  ticks(): Observable<{ data: object }> {
    return interval(1000).pipe(map((tick) => ({ data: { tick, from: process.pid } })));
  }
}

@Module({
  controllers: [StockController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'STOCK' }, registry: backend, config: backend })],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
// The gateway shows it on its own page.
SwaggerModule.setup('docs', app, SwaggerModule.createDocument(app, new DocumentBuilder().build()));
await app.listen(0, '127.0.0.1');
