import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  AppRegistration,
  ConfigRef,
  ConfigValue,
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { local } from 'nestjs-service-discovery/local';
import { firstValueFrom, map } from 'rxjs';

@Controller()
class AppController {
  @ConfigValue('limit', 100) private readonly limit!: number;

  constructor(
    private readonly discovery: DiscoveryClient,
    @DiscoverableClient('SELF') private readonly self: ServiceHttpClient,
    @ConfigValue('name', 'esm') private readonly name: ConfigRef<string>,
  ) {}

  @Get('leaf') leaf() {
    return { limit: this.limit, name: this.name.value };
  }

  @Get('call') call() {
    return this.self.get('/leaf').pipe(map(({ data }) => data));
  }

  @Get('peers') async peers() {
    return (await this.discovery.getInstances('SELF')).length;
  }
}

const backend = local({ directory: process.argv[2], configDirectory: process.argv[3] });

@Module({
  controllers: [AppController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'SELF' }, registry: backend, config: backend })],
})
class AppModule {}

const app = enableGracefulShutdown(await NestFactory.create(AppModule, { logger: ['error', 'warn'] }));
await app.listen(0, '127.0.0.1');
await app.get(AppRegistration).lease?.registered;
await app.get(DiscoveryClient).refresh('SELF');
const self = app.get(ServiceHttpClient);
const { data } = await firstValueFrom(self.get('lb://SELF/call'));
console.log(JSON.stringify(data));
await app.close();
