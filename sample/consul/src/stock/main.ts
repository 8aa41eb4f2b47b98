import 'reflect-metadata';
import { Controller, Get, Injectable, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  DiscoverableClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { ConsulLocks, ConsulModule, type ConsulElection } from 'nestjs-service-discovery/consul/nest';
import { map, type Observable } from 'rxjs';
import { backend } from '../backend.js';

/** Of all stock processes one counts the shelves; another takes over when it ends. */
@Injectable()
class ShelfCounter implements OnApplicationBootstrap {
  private election: ConsulElection | undefined;

  constructor(private readonly locks: ConsulLocks) {}

  get isCounting(): boolean {
    return this.election?.isLeader === true;
  }

  onApplicationBootstrap(): void {
    this.election = this.locks.elect('locks/shelf-counter', { value: String(process.pid), lockDelayMs: 1000 });
  }
}

@Controller()
class StockController {
  constructor(
    private readonly counter: ShelfCounter,
    @DiscoverableClient('shop') private readonly shop: ServiceHttpClient,
  ) {}

  @Get('quote')
  quote(): Observable<unknown> {
    const { isCounting } = this.counter;
    return this.shop
      .get('/opening-hours')
      .pipe(map(({ data }) => ({ item: 'tea', openingHours: data, answeredBy: process.pid, isCounting })));
  }
}

@Module({
  controllers: [StockController],
  providers: [ShelfCounter],
  imports: [ConsulModule, DiscoveryModule.forRoot({ service: { name: 'stock' }, registry: backend, config: backend })],
})
class StockModule {}

const app = enableGracefulShutdown(await NestFactory.create(StockModule, { logger: ['warn', 'error'] }));
await app.listen(0, '0.0.0.0');
