import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, Transport, type ClientProxy, type MicroserviceOptions } from '@nestjs/microservices';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { DiscoverableClientProxy, GrpcHealth } from 'nestjs-service-discovery/microservices';
import { map, type Observable } from 'rxjs';
import { common, PROTO } from '../backend.js';

@Controller()
class OrdersController {
  // What is only asked may be asked again when a connection breaks.
  @DiscoverableClientProxy('STOCK', { idempotent: ['quote'] }) private readonly stock!: ClientProxy;

  @GrpcMethod('Orders', 'Get')
  get({ id }: { readonly id: string }): Observable<unknown> {
    return this.stock
      .send<object>('quote', { item: 'tea' })
      .pipe(map((quote) => ({ id, answeredBy: process.pid, quote })));
  }
}

@Module({
  controllers: [OrdersController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'ORDERS' }, ...common })],
})
class OrdersModule {}

const health = await GrpcHealth.load();
const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
  logger: ['warn', 'error'],
  transport: Transport.GRPC,
  options: {
    package: 'orders',
    protoPath: PROTO,
    // gRPC's server of Nest doesn't tell which port it got: it needs one that is known.
    url: `127.0.0.1:${process.env['ORDERS_PORT'] ?? 50051}`,
    onLoadPackageDefinition: health.onLoadPackageDefinition,
  },
});
health.follow(app);
enableGracefulShutdown(app);
await app.listen();
