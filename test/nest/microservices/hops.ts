import { Controller, Get, Module, type INestApplication, type Type } from '@nestjs/common';
import { GrpcMethod, MessagePattern, Transport, type ClientGrpc, type ClientProxy } from '@nestjs/microservices';
import { firstValueFrom, type Observable } from 'rxjs';
import {
  DiscoverableClient,
  DiscoveryModule,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../../lib/index.js';
import { DiscoverableClientProxy, GrpcServiceClient } from '../../../lib/integrations/microservices/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { freePortWith } from '../../servers/free-port.js';
import { createApp, registered } from '../support.js';
import { PROTO, type Text } from './greeters.js';

interface Greeter {
  read(question: object): Observable<Text>;
}

const LANES = { http: { routing: { lane: {} } } } as const;

/** What a hop is. */
export interface HopOptions extends DiscoveryModuleOptions {
  readonly name: string;
  readonly lane?: string;
}

/** The last: takes messages by TCP, and says who it is. */
export async function tcpHop(registry: InMemoryRegistry, { name, lane = 'base', ...options }: HopOptions) {
  @Controller()
  class Hop {
    @MessagePattern('trail')
    trail(): string {
      return `${name}/${lane}`;
    }
  }
  const app = await createApp(moduleOf(registry, { name, lane, ...options }, Hop));
  app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } });
  await start(app);
  return app;
}

/** Takes gRPC, and goes on by TCP. */
export async function grpcHop(registry: InMemoryRegistry, { name, lane = 'base', ...options }: HopOptions) {
  @Controller()
  class Hop {
    @DiscoverableClientProxy('LAST') readonly last!: ClientProxy;

    @GrpcMethod('Greeter', 'Read')
    async read(): Promise<Text> {
      return { text: `${name}/${lane} ${await firstValueFrom(this.last.send<string>('trail', {}))}` };
    }
  }
  const app = await createApp(moduleOf(registry, { name, lane, ...options }, Hop));
  const port = await freePortWith([]);
  app.connectMicroservice({
    transport: Transport.GRPC,
    options: { package: 'hello', protoPath: PROTO, url: `127.0.0.1:${port}` },
  });
  await start(app);
  return app;
}

/** Takes HTTP, and goes on by gRPC. */
export async function httpHop(registry: InMemoryRegistry, { name, lane = 'base', ...options }: HopOptions) {
  @Controller()
  class Hop {
    @GrpcServiceClient('THIRD', { package: 'hello', protoPath: PROTO }) readonly third!: ClientGrpc;
    private greeter: Greeter | undefined;

    @Get('trail') async trail(): Promise<string> {
      this.greeter ??= this.third.getService<Greeter>('Greeter');
      return `${name}/${lane} ${(await firstValueFrom(this.greeter.read({}))).text}`;
    }
  }
  const app = await createApp(moduleOf(registry, { name, lane, ...options }, Hop));
  await start(app);
  return app;
}

/** The first: takes HTTP, and goes on by HTTP. */
export async function frontHop(registry: InMemoryRegistry, { name, lane = 'base', ...options }: HopOptions) {
  @Controller()
  class Hop {
    @DiscoverableClient('SECOND') readonly second!: ServiceHttpClient;

    @Get('trail') async trail(): Promise<string> {
      return `${name}/${lane} ${(await firstValueFrom(this.second.get<string>('/trail'))).data}`;
    }
  }
  const app = await createApp(moduleOf(registry, { name, lane, ...options }, Hop));
  await start(app);
  return app;
}

function moduleOf(registry: InMemoryRegistry, { name, lane, ...options }: HopOptions, hop: Type): Type {
  const backend = registry.backend();
  @Module({
    controllers: [hop],
    imports: [
      DiscoveryModule.forRoot({
        service: { name, host: '127.0.0.1', ...(lane === 'base' ? {} : { metadata: { lane: lane ?? '' } }) },
        registry: backend,
        config: backend,
        ...LANES,
        ...options,
      }),
    ],
  })
  class HopModule {}
  return HopModule;
}

async function start(app: INestApplication): Promise<void> {
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  await registered(app);
}
