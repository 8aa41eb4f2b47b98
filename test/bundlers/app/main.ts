import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  AppRegistration,
  ConfigValue,
  DiscoverableClient,
  DiscoveryClient,
  type DiscoveryError,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { local } from 'nestjs-service-discovery/local';
import { firstValueFrom, map } from 'rxjs';

/** What every bundler, package manager and runtime is given: it says as JSON what it registered, found, called and read. */
@Controller()
class ShopController {
  @ConfigValue('limit', 100) private readonly limit!: number;

  constructor(
    // By its type alone, which a builder must keep for Nest.
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient('SHOP') private readonly shop: ServiceHttpClient,
  ) {}

  @Get('limit') getLimit() {
    return { limit: this.limit };
  }

  @Get('call') call() {
    return this.shop.get<{ limit: number }>('/limit').pipe(map(({ data }) => data));
  }

  @Get('found') async found() {
    const instances = await this.discovery.getInstances('SHOP');
    return { services: await this.discovery.getServices(), instances: instances.length };
  }
}

const { REGISTRY_DIRECTORY: directory = '', CONFIG_DIRECTORY: configDirectory = '' } = process.env;
const backend = local({ directory, configDirectory });

@Module({
  controllers: [ShopController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry: backend, config: backend })],
})
class ShopModule {}

async function main(): Promise<void> {
  const app = enableGracefulShutdown(await NestFactory.create(ShopModule, { logger: ['error', 'warn'] }));
  await app.listen(0, '127.0.0.1');
  await app.get(AppRegistration).lease?.registered;
  await app.get(DiscoveryClient).refresh('SHOP');
  const http = app.get(ServiceHttpClient);
  const { data: called } = await firstValueFrom(http.get<object>('lb://SHOP/call'));
  const { data: found } = await firstValueFrom(http.get<object>('lb://SHOP/found'));
  const refused = await firstValueFrom(http.get('lb://NOBODY/')).then(
    () => undefined,
    (error: DiscoveryError) => [error.name, error.code],
  );
  process.stdout.write(`${JSON.stringify({ called, found, refused })}\n`);
  await app.close();
}

void main();
