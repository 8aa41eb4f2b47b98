import 'reflect-metadata';
import { Controller, Get, HttpException, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ConfigValue,
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import {
  InjectNatsService,
  NatsServiceClient,
  NatsServiceError,
  NatsServicesHost,
  NatsServicesModule,
} from 'nestjs-service-discovery/nats/nest';
import { DiscoveryOperatorModule } from 'nestjs-service-discovery/operator';
import { map, type Observable } from 'rxjs';
import { backend } from '../backend.js';

@Controller()
class GatewayController {
  @ConfigValue('greeting', 'no greeting is configured') private readonly greeting!: string;

  constructor(
    private readonly discovery: DiscoveryClient,
    private readonly services: NatsServicesHost,
    @DiscoverableClient('STOCK') private readonly http: ServiceHttpClient,
    @InjectNatsService('STOCK') private readonly nats: NatsServiceClient,
  ) {}

  @Get()
  overHttp(): Observable<unknown> {
    return this.http.get('/quote').pipe(map(({ data }) => ({ greeting: this.greeting, stock: data })));
  }

  @Get('price/:item')
  async overNats(@Param('item') item: string): Promise<unknown> {
    try {
      return await this.nats.call('price', { item });
    } catch (error) {
      // What the caller did wrong is passed on; anything else is this service's own failure.
      if (error instanceof NatsServiceError && error.status < 500) {
        throw new HttpException(error.description, error.status);
      }
      throw error;
    }
  }

  @Get('peers')
  async peers(): Promise<unknown> {
    const instances = await this.discovery.getInstances('STOCK');
    const found = await this.services.queries.stats({ name: 'STOCK' });
    return { http: instances.map(({ id, url, status }) => ({ id, url, status })), nats: found };
  }
}

@Module({
  controllers: [GatewayController],
  imports: [
    // Without a guard it answers this machine only, and no app in production.
    DiscoveryOperatorModule.register(),
    DiscoveryModule.forRoot({ service: { name: 'GATEWAY' }, registry: backend, config: backend }),
    NatsServicesModule.forRoot(),
  ],
})
class GatewayModule {}

const app = enableGracefulShutdown(await NestFactory.create(GatewayModule, { logger: ['warn', 'error'] }));
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
