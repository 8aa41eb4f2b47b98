import 'reflect-metadata';
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import axios, { type AxiosInstance } from 'axios';
import {
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { DiscoveryOperatorModule } from 'nestjs-service-discovery/operator';
import { AsabDiscovery, AsabModule, AsabTools } from 'nestjs-service-discovery/zookeeper/nest';
import { map, type Observable } from 'rxjs';
import { backend } from '../backend.js';

@Controller()
class GatewayController {
  private readonly internal: AxiosInstance;

  constructor(
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient('stock') private readonly stock: ServiceHttpClient,
    @Inject(AsabDiscovery) private readonly asab: AsabDiscovery,
    @Inject(AsabTools) tools: AsabTools,
  ) {
    // Calls as this application, not as the user whose request is handled.
    this.internal = tools.discoverable(axios.create(), { auth: 'internal' });
  }

  /** By service, balanced. */
  @Get()
  index(): Observable<unknown> {
    return this.stock.get('/quote').pipe(map(({ data }) => data));
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    return (await this.discovery.getInstances('stock')).map(({ id, url, status }) => ({ id, url, status }));
  }

  /** By a discovered address, with the cluster's own authorization. */
  @Get('reserve')
  async reserve(): Promise<unknown> {
    return (await this.internal.post<unknown>('http://stock.service_id.asab/reserve')).data;
  }

  /** Who has this id: `/locate/service_id/stock`. */
  @Get('locate/:type/:id')
  async locate(@Param('type') type: string, @Param('id') id: string): Promise<unknown> {
    return [...(await this.asab.locate({ [type]: id }))];
  }

  /** Gives this gateway an id of its own, by which others find it at once. */
  @Get('call-me/:id')
  async callMe(@Param('id') id: string): Promise<unknown> {
    await this.asab.updateDiscovery({ nickname: [id] });
    return { others: `http://${id}.nickname.asab/` };
  }
}

@Module({
  controllers: [GatewayController],
  imports: [
    AsabModule.forRoot(),
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'gateway' }, registry: backend }),
  ],
})
class GatewayModule {}

const app = enableGracefulShutdown(await NestFactory.create(GatewayModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
