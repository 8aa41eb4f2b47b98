import { join } from 'node:path';
import { Controller, Injectable, Module, type OnModuleDestroy, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClientProxyFactory,
  GrpcMethod,
  MessagePattern,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { firstValueFrom, of } from 'rxjs';
import { delay, tap } from 'rxjs/operators';
import { afterEach, describe, expect, it } from 'vitest';
import { AppRegistration, DiscoveryModule, enableGracefulShutdown } from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

class Gate {
  readonly asked: Promise<void>;
  readonly opened: Promise<void>;
  ask = (): void => {};
  open = (): void => {};

  constructor() {
    this.asked = new Promise((resolve) => (this.ask = resolve));
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
}

/** More than the system takes at once. */
const LONG = 20_000_000;

function appModule(registry: InMemoryRegistry, gate = new Gate(), log: string[] = []): Type {
  @Controller()
  class Messages {
    @MessagePattern('slow')
    async slow(): Promise<string> {
      gate.ask();
      await gate.opened;
      log.push('answered');
      return 'done';
    }

    @MessagePattern('long')
    long(): string {
      gate.ask();
      return 'x'.repeat(LONG);
    }

    @MessagePattern('stream')
    stream() {
      gate.ask();
      return of('streamed').pipe(
        delay(50),
        tap(() => log.push('streamed')),
      );
    }

    @GrpcMethod('Greeter', 'hello')
    hello(): { text: string } {
      return { text: 'hello' };
    }
  }
  @Injectable()
  class Database implements OnModuleDestroy {
    onModuleDestroy(): void {
      log.push('database closed');
    }
  }
  @Module({
    controllers: [Messages],
    providers: [Database],
    imports: [
      DiscoveryModule.forRoot({
        service: { name: 'STOCK', metadata: { own: 'kept' } },
        registry: registry.backend(),
        config: registry.backend({ name: 'c' }),
        shutdown: { drainTimeoutMs: 60_000, totalTimeoutMs: 60_000 },
      }),
    ],
  })
  class AppModule {}
  return AppModule;
}

const tcp: MicroserviceOptions = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } };

function clientOf(port: number) {
  const client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
  closing.push(() => client.close());
  return client;
}

/** A microservice that stops by enableGracefulShutdown, and where it is called. */
async function startStopping(registry: InMemoryRegistry, module: Type) {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(module, { logger: false, ...tcp });
  enableGracefulShutdown(app);
  closing.push(() => app.close());
  await app.listen();
  const { port } = await recordOf(registry);
  return { app, port };
}

async function recordOf(registry: InMemoryRegistry) {
  await expect.poll(() => registry.instancesOf('STOCK').length).toBe(1);
  const [record] = registry.instancesOf('STOCK');
  if (record === undefined) throw new Error('not registered');
  return record;
}

describe('an app without HTTP', () => {
  it('registers the port that its TCP server is really bound to, and is found there', async () => {
    const registry = new InMemoryRegistry();
    const gate = new Gate();
    gate.open();
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(appModule(registry, gate), {
      logger: false,
      ...tcp,
    });
    closing.push(() => app.close());
    expect(registry.instancesOf('STOCK')).toEqual([]);
    await app.listen();
    const record = await recordOf(registry);
    expect(record).toMatchObject({ scheme: 'tcp', host: '127.0.0.1', metadata: { own: 'kept' } });
    expect(app.get(AppRegistration).isReady).toBe(true);
    expect(await firstValueFrom(clientOf(record.port).send('slow', {}))).toBe('done');
  });

  it('a message that is being handled is answered before anything is closed', async () => {
    const registry = new InMemoryRegistry();
    const [gate, log] = [new Gate(), [] as string[]];
    const { app, port } = await startStopping(registry, appModule(registry, gate, log));
    const answer = firstValueFrom(clientOf(port).send<string>('slow', {}));
    await gate.asked;
    const closed = app.close().then(() => log.push('closed'));
    await expect.poll(() => registry.instancesOf('STOCK')).toEqual([]);
    expect(log).toEqual([]);
    gate.open();
    expect(await answer).toBe('done');
    await closed;
    expect(log).toEqual(['answered', 'database closed', 'closed']);
  });

  it('a long answer is written to its end', async () => {
    const registry = new InMemoryRegistry();
    const gate = new Gate();
    const { app, port } = await startStopping(registry, appModule(registry, gate));
    const answer = firstValueFrom(clientOf(port).send<string>('long', {}));
    await gate.asked;
    await app.close();
    expect(await answer).toHaveLength(LONG);
  });

  it('a handler that answers with a stream is waited for until the stream ends', async () => {
    const registry = new InMemoryRegistry();
    const [gate, log] = [new Gate(), [] as string[]];
    const { app, port } = await startStopping(registry, appModule(registry, gate, log));
    const answer = firstValueFrom(clientOf(port).send<string>('stream', {}));
    await gate.asked;
    await app.close();
    expect(await answer).toBe('streamed');
    expect(log).toEqual(['streamed', 'database closed']);
  });
});

describe('an app with HTTP and more', () => {
  it.each(['before', 'after'])(
    'tells the other servers’ ports in its metadata (microservices started %s HTTP)',
    async (when) => {
      const registry = new InMemoryRegistry();
      const app = await NestFactory.create(appModule(registry), { logger: false });
      closing.push(() => app.close());
      app.connectMicroservice<MicroserviceOptions>(tcp);
      const grpcPort = await freePort();
      app.connectMicroservice<MicroserviceOptions>({
        transport: Transport.GRPC,
        options: {
          package: 'greeting',
          protoPath: join(import.meta.dirname, 'greeting.proto'),
          url: `127.0.0.1:${grpcPort}`,
        },
      });
      if (when === 'before') await app.startAllMicroservices();
      await app.listen(0, '127.0.0.1');
      if (when === 'after') await app.startAllMicroservices();
      await expect
        .poll(() => registry.instancesOf('STOCK')[0]?.metadata)
        .toEqual({ own: 'kept', tcp_port: expect.stringMatching(/^\d+$/) as string, gRPC_port: String(grpcPort) });
      const { scheme, port, metadata } = await recordOf(registry);
      expect(scheme).toBe('http');
      expect(port).not.toBe(Number(metadata['tcp_port']));
    },
  );
});

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
