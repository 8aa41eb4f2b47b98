import 'reflect-metadata';
import { Body, Controller, Get, Headers, Module, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { backend } from '../backend.js';

@Controller()
class OrdersController {
  @Get(':id')
  order(@Param('id') id: string, @Headers('x-forwarded-prefix') mountedAt: string) {
    return { id, self: `${mountedAt}/${id}` };
  }

  @Post()
  place(@Body() order: object) {
    return { id: '8', ...order };
  }
}

@Module({
  controllers: [OrdersController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'ORDERS' }, registry: backend, config: backend })],
})
class OrdersModule {}

const app = enableGracefulShutdown(await NestFactory.create(OrdersModule, { logger: ['warn', 'error'] }));
// The gateway shows it on its own page.
SwaggerModule.setup('docs', app, SwaggerModule.createDocument(app, new DocumentBuilder().build()));
await app.listen(0, '127.0.0.1');
