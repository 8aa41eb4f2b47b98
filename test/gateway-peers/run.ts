/**
 * `npm run gateway:peers`: the details that a gateway should be right about, on this one and on those that one would take
 * instead, as a table. Further gateways: whatever has a `start(upstreamPort)`, see compare.ts.
 */
import 'reflect-metadata';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import httpProxy from '@fastify/http-proxy';
import { Module, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import express from 'express';
import fastify from 'fastify';
import { createProxyMiddleware } from 'http-proxy-middleware';
import { DiscoveryModule } from 'nestjs-service-discovery';
import { ServiceGatewayModule } from 'nestjs-service-discovery/gateway';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';
import { springInstance, startSpringGateway } from '../faults/spring-gateway.js';
import { findingsOf, tableOf, type ComparedGateway, type Finding, type RunningGateway } from './compare.js';

async function ours(upstreamPort: number, adapter?: FastifyAdapter): Promise<RunningGateway> {
  const registry = new InMemoryRegistry();
  registry.addInstance('STOCK', { port: upstreamPort });
  const backend = registry.backend();
  @Module({
    imports: [
      ServiceGatewayModule.forRoot({ routes: [{ path: '/stock/**', service: 'STOCK', stripPrefix: 1 }] }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const options = { logger: false as const };
  const app: INestApplication =
    adapter === undefined
      ? await NestFactory.create(AppModule as Type, options)
      : await NestFactory.create(AppModule as Type, adapter, options);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return { port, close: () => app.close() };
}

const SPRING_FORWARDS = { 'spring.cloud.gateway.server.webflux.trusted-proxies': String.raw`127\.0\.0\.1` };

const gateways: readonly ComparedGateway[] = [
  { name: 'this, on Express', start: (port) => ours(port) },
  { name: 'this, on Fastify', start: (port) => ours(port, new FastifyAdapter()) },
  {
    name: '@fastify/http-proxy',
    start: async (port) => {
      const app = fastify();
      await app.register(httpProxy, {
        upstream: `http://127.0.0.1:${port}`,
        prefix: '/stock',
        rewritePrefix: '/',
        websocket: true,
      });
      await app.listen({ port: 0, host: '127.0.0.1' });
      return { port: (app.server.address() as AddressInfo).port, close: () => app.server.closeAllConnections() };
    },
  },
  {
    name: 'http-proxy-middleware',
    start: async (port) => {
      const proxy = createProxyMiddleware({
        target: `http://127.0.0.1:${port}`,
        changeOrigin: true,
        xfwd: true,
        pathFilter: '/stock',
        pathRewrite: { '^/stock': '' },
        ws: true,
      });
      const app = express();
      app.use(proxy);
      const server = createServer(app);
      server.on('upgrade', proxy.upgrade);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return { port: (server.address() as AddressInfo).port, close: () => server.closeAllConnections() };
    },
  },
  {
    // Its own list of instances in the place of a registry, and StripPrefix. Without `trusted-proxies` it writes no forwarded headers.
    name: 'Spring Cloud Gateway',
    start: (port) => startSpringGateway({ ...springInstance('STOCK', port), ...SPRING_FORWARDS }, 'STOCK', '/probe'),
  },
];

// `npm run gateway:peers -- spring`: those only whose name has this in it.
const [, , wanted = ''] = process.argv;
const found = new Map<string, ReadonlyMap<string, Finding>>();
for (const gateway of gateways.filter(({ name }) => name.toLowerCase().includes(wanted.toLowerCase())))
  found.set(gateway.name, await findingsOf(gateway));
process.stdout.write(`${tableOf(found)}\n`);
// What the others leave open is no concern of the table's.
process.exit(0);
