// An app that ends in the way that its argument says. Plain JavaScript, so that it runs as it is.
import 'reflect-metadata';
import { Controller, Get, Module, Sse } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { NEVER } from 'rxjs';
import { DiscoveryModule, enableGracefulShutdown } from 'nestjs-service-discovery';
import { local } from 'nestjs-service-discovery/local';

const [scenario, directory] = process.argv.slice(2);
const forever = () => new Promise(() => setInterval(() => {}, 1000));

class Streams {
  events() {
    return NEVER;
  }
  slow() {
    console.log('ASKED');
    return new Promise(() => {});
  }
}
decorate(Streams, 'events', Sse('events'));
decorate(Streams, 'slow', Get('slow'));
Controller()(Streams);

class Hooks {
  beforeServiceDeregister() {
    return scenario === 'hook-before' ? forever() : undefined;
  }
  onServiceDeregistered() {
    return scenario === 'hook-after' ? forever() : undefined;
  }
  onModuleDestroy() {
    if (scenario === 'foreign-sync-throw') throw new Error('broken');
    return scenario === 'foreign-hook' ? forever() : undefined;
  }
  onApplicationShutdown() {
    console.log('LAST HOOK');
  }
}

class HooksModule {}
Module({ providers: [Hooks], controllers: [Streams] })(HooksModule);

const total = scenario === 'deadline' ? 600 : 20_000;
const backend = local({ directory });
class AppModule {}
Module({
  imports: [
    HooksModule,
    DiscoveryModule.forRoot({
      service: { name: 'STOPPING', host: '127.0.0.1' },
      registry: backend,
      config: backend,
      shutdown: {
        drainTimeoutMs: scenario === 'drain' ? 300 : 60_000,
        hookTimeoutMs: scenario === 'deadline' ? 60_000 : 300,
        propagationDelayMs: scenario === 'hurry' ? 60_000 : 0,
        totalTimeoutMs: scenario === 'hurry' ? 90_000 : total,
      },
    }),
  ],
})(AppModule);

const app = await NestFactory.create(AppModule, { abortOnError: false });
enableGracefulShutdown(app, { exitAfterMs: 500 });
if (scenario === 'listener') {
  // Telemetry listens too, and something keeps the process alive.
  process.on('SIGTERM', () => {});
  setInterval(() => {}, 1000);
}
await app.listen(Number(process.env.PORT ?? 0), '127.0.0.1').then(
  async () => console.log(`LISTENING ${await app.getUrl()}`),
  (error) => console.log(`FAILED ${error.message}`),
);

function decorate(type, method, decorator) {
  decorator(type.prototype, method, Object.getOwnPropertyDescriptor(type.prototype, method));
}
