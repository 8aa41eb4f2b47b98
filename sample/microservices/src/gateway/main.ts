import 'reflect-metadata';
import { Controller, Get, Module, Param, type OnModuleInit } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { ClientGrpc } from '@nestjs/microservices';
import { DiscoveryClient, DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { GrpcServiceClient } from 'nestjs-service-discovery/microservices';
import { DiscoveryOperatorModule } from 'nestjs-service-discovery/operator';
import type { Observable } from 'rxjs';
import { common, PROTO } from '../backend.js';

interface Orders {
  get(wanted: { readonly id: string }): Observable<unknown>;
}

@Controller()
class GatewayController implements OnModuleInit {
  @GrpcServiceClient('ORDERS', { package: 'orders', protoPath: PROTO }) private readonly client!: ClientGrpc;
  private orders!: Orders;

  constructor(private readonly discovery: DiscoveryClient) {}

  onModuleInit(): void {
    this.orders = this.client.getService<Orders>('Orders');
  }

  /** The lane of the request goes along by itself. */
  @Get('orders/:id')
  order(@Param('id') id: string): Observable<unknown> {
    return this.orders.get({ id });
  }

  @Get()
  any(): Observable<unknown> {
    return this.order('7');
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    const instances = await this.discovery.getInstances('STOCK');
    return instances.map(({ id, url, metadata }) => ({ id, url, lane: metadata['lane'] ?? 'base' }));
  }
}

@Module({
  controllers: [GatewayController],
  imports: [
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'GATEWAY' }, ...common }),
  ],
})
class GatewayModule {}

const app = enableGracefulShutdown(await NestFactory.create(GatewayModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
