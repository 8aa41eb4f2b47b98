import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Controller, Module, type INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { switching } from '../../servers/switching.js';
import { GreeterServer } from './greeters.js';

/** How a service is called, where a call lasts for as long as both sides like. */
export type LastingProtocol = 'websocket' | 'sse';

/** How a service is called. */
export type Protocol = 'axios' | 'fetch' | 'dispatcher' | 'grpc' | 'tcp' | LastingProtocol;

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

/** One whose callers stay. */
export interface LastingInstance extends Instance {
  /** How many of them are connected. */
  readonly open: () => number;
}

/** Starts one. */
export function startInstance(protocol: Protocol, name: string): Promise<Instance> {
  switch (protocol) {
    case 'grpc':
      return grpcInstance(name);
    case 'tcp':
      return tcpInstance(name);
    case 'websocket':
    case 'sse':
      return lastingInstance(protocol, name);
    default:
      return httpInstance(name, (_request, response) => response.end(name));
  }
}

/** Starts one whose callers stay; it says its name to each who comes. */
export async function lastingInstance(protocol: LastingProtocol, name: string): Promise<LastingInstance> {
  const open = new Set<Duplex>();
  const held = (socket: Duplex): void => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  };
  const instance = await httpInstance(
    name,
    (request, response) => {
      held(request.socket);
      // A browser's way of coming back without a pause of seconds.
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`retry: 1\ndata: ${name}\n\n`);
    },
    (request, socket) => {
      held(socket);
      socket.write(switching(request));
      socket.write(Buffer.concat([Buffer.from([0x81, name.length]), Buffer.from(name)]));
      // All that a caller says is that it closes.
      socket.once('data', () => socket.end(Buffer.from([0x88, 0])));
    },
  );
  const destroyAll = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    ...instance,
    open: () => open.size,
    kill: async () => {
      await instance.kill();
      // Node's server forgets those that were upgraded.
      destroyAll();
    },
  };
}

const never = (): Promise<never> => new Promise(() => {});

async function httpInstance(
  name: string,
  answer: RequestListener,
  upgrade?: (request: IncomingMessage, socket: Duplex) => void,
): Promise<Instance> {
  let calls = 0;
  let isStalled = false;
  const server: Server = createServer((request, response) => {
    calls += 1;
    if (!isStalled) answer(request, response);
  });
  server.on('upgrade', (request, socket) => {
    calls += 1;
    socket.on('error', () => {});
    if (!isStalled) upgrade?.(request, socket);
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
