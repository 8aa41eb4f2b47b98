// One Nest app that answers the same by HTTP, TCP, gRPC and NATS. Plain JavaScript on the built package's neighbours.
import 'reflect-metadata';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Transport } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';

const [natsUrl] = process.argv.slice(2);
const thing = { id: 4711, name: 'A thing in stock', price: 12.5, tags: ['a', 'b', 'c'] };

class Things {
  byHttp() {
    return thing;
  }
  byMessage() {
    return thing;
  }
  byGrpc() {
    return thing;
  }
}
const decorate = (method, decorator) =>
  decorator(Things.prototype, method, Object.getOwnPropertyDescriptor(Things.prototype, method));
decorate('byHttp', Get('things/:id'));
decorate('byMessage', MessagePattern('get'));
decorate('byGrpc', GrpcMethod('Things', 'Get'));
Controller()(Things);
class AppModule {}
Module({ controllers: [Things] })(AppModule);

/** gRPC tells nobody which port it was given. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error'] });
const [tcp, grpc] = [await freePort(), await freePort()];
app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: tcp } });
app.connectMicroservice({ transport: Transport.NATS, options: { servers: [natsUrl] } });
app.connectMicroservice({
  transport: Transport.GRPC,
  options: {
    package: 'things',
    protoPath: fileURLToPath(new URL('../protocols/things.proto', import.meta.url)),
    url: `127.0.0.1:${grpc}`,
  },
});
await app.startAllMicroservices();
await app.listen(0, '127.0.0.1');
process.send?.({ http: app.getHttpServer().address().port, tcp, grpc });
process.on('disconnect', () => process.exit(0));
