import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ConfigValue,
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { DiscoveryOperatorModule } from 'nestjs-service-discovery/operator';
import { map, type Observable } from 'rxjs';
import { backend } from '../backend.js';

@Controller()
class GatewayController {
  @ConfigValue('greeting', 'no greeting is configured') private readonly greeting!: string;

  constructor(
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient('STOCK') private readonly stock: ServiceHttpClient,
  ) {}

  @Get()
  index(): Observable<unknown> {
    return this.stock.get('/quote').pipe(map(({ data }) => ({ greeting: this.greeting, stock: data })));
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    return (await this.discovery.getInstances('STOCK')).map(({ id, url, status }) => ({ id, url, status }));
  }
}

@Module({
  controllers: [GatewayController],
  imports: [
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'GATEWAY' }, registry: backend, config: backend }),
  ],
})
class GatewayModule {}

const app = enableGracefulShutdown(await NestFactory.create(GatewayModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
