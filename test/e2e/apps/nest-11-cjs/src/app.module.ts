import { Controller, Get, Module } from '@nestjs/common';
import { ConfigValue, DiscoverableClient, DiscoveryModule, ServiceHttpClient } from 'nestjs-service-discovery';
import { local } from 'nestjs-service-discovery/local';
import { map } from 'rxjs';

@Controller()
export class AppController {
  @ConfigValue('limit', 100) private readonly limit!: number;

  constructor(@DiscoverableClient('SELF') private readonly self: ServiceHttpClient) {}

  @Get('leaf') leaf() {
    return { limit: this.limit, name: 'cjs' };
  }

  @Get('call') call() {
    return this.self.get('/leaf').pipe(map(({ data }) => data));
  }
}

const backend = local({
  directory: process.env['REGISTRY_DIRECTORY']!,
  configDirectory: process.env['CONFIG_DIRECTORY']!,
});

@Module({
  controllers: [AppController],
  imports: [DiscoveryModule.forRoot({ service: { name: 'SELF' }, registry: backend, config: backend })],
})
export class AppModule {}
