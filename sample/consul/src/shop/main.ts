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
class ShopController {
  @ConfigValue('greeting', 'no greeting is configured') private readonly greeting!: string;

  constructor(
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient('stock') private readonly stock: ServiceHttpClient,
  ) {}

  @Get()
  offer(): Observable<unknown> {
    return this.stock.get('/quote').pipe(map(({ data }) => ({ greeting: this.greeting, stock: data })));
  }

  /** What the stock app asks for: the two call each other. */
  @Get('opening-hours')
  openingHours() {
    return { from: 8, to: 20 };
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    return (await this.discovery.getInstances('stock')).map(({ id, url, status }) => ({ id, url, status }));
  }
}

@Module({
  controllers: [ShopController],
  imports: [
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'shop' }, registry: backend, config: backend }),
  ],
})
class ShopModule {}

const app = enableGracefulShutdown(await NestFactory.create(ShopModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '0.0.0.0');
process.send?.({ url: (await app.getUrl()).replace('0.0.0.0', '127.0.0.1') });
