import { createServer, type Server } from 'node:http';
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net';
import { Controller, Module, type INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { GreeterServer } from './greeters.js';

/** How a service is called. */
export type Protocol = 'axios' | 'fetch' | 'dispatcher' | 'grpc' | 'tcp';

/** An instance that answers with its name by one protocol, and what it was asked. */
export interface Instance {
  readonly name: string;
  readonly port: number;
  readonly scheme: string;
  /** How often it was called. */
  readonly calls: () => number;
  /** Answers nobody any more, and goes on listening. */
  stall(): void;
  /** Ends it with its connections. */
  kill(): Promise<void> | void;
  /** Ends it when what it is doing is done. */
  stop(): Promise<void>;
}

/** Starts one. */
export function startInstance(protocol: Protocol, name: string): Promise<Instance> {
  if (protocol === 'grpc') return grpcInstance(name);
  return protocol === 'tcp' ? tcpInstance(name) : httpInstance(name);
}

const never = (): Promise<never> => new Promise(() => {});

async function httpInstance(name: string): Promise<Instance> {
  let calls = 0;
  let isStalled = false;
  const server: Server = createServer((_request, response) => {
    calls += 1;
    if (!isStalled) response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    return closed;
  };
  return {
    name,
    port: (server.address() as AddressInfo).port,
    scheme: 'http',
    calls: () => calls,
    stall: () => {
      isStalled = true;
    },
    kill: () => {
      server.close();
      server.closeAllConnections();
    },
    stop,
  };
}

async function grpcInstance(name: string): Promise<Instance> {
  const server = await GreeterServer.start(name);
  return {
    name,
    port: server.port,
    scheme: 'grpc',
    calls: () => server.calls,
    stall: () => server.answers(never),
    kill: () => server.kill(),
    stop: () => server.stop(),
  };
}

async function tcpInstance(name: string): Promise<Instance> {
  let calls = 0;
  let isStalled = false;
  @Controller()
  class Messages {
    @MessagePattern('name')
    name(): unknown {
      calls += 1;
      return isStalled ? never() : name;
    }
  }
  @Module({ controllers: [Messages] })
  class MessagesModule {}
  const app: INestMicroservice = await NestFactory.createMicroservice<MicroserviceOptions>(MessagesModule, {
    logger: false,
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
  });
  await app.listen();
  const server = app.unwrap<TcpServer>();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  const kill = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return {
    name,
    port: (server.address() as AddressInfo).port,
    scheme: 'tcp',
    calls: () => calls,
    stall: () => {
      isStalled = true;
    },
    kill,
    stop: async () => kill(),
  };
}
