/**
 * One gateway in a process of its own: which one stands in the arguments, its upstream ports too. Tells its port, and what
 * CPU and memory it has used when it is asked.
 */
import 'reflect-metadata';

const [kind, ...ports] = process.argv.slice(2);

const start = {
  async 'ours-fastify'() {
    const { FastifyAdapter } = await import('@nestjs/platform-fastify');
    return startNest(new FastifyAdapter());
  },
  async 'ours-express'() {
    return startNest();
  },
  async 'fastify-proxy'() {
    const { default: fastify } = await import('fastify');
    const { default: proxy } = await import('@fastify/http-proxy');
    const app = fastify();
    app.register(proxy, { upstream: `http://127.0.0.1:${ports[0]}`, prefix: '/stock', rewritePrefix: '/' });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return app.server;
  },
  async middleware() {
    return startMiddleware();
  },
  async 'middleware-agent'() {
    // As it comes it opens a connection for each request.
    const { Agent } = await import('node:http');
    return startMiddleware({ agent: new Agent({ keepAlive: true }) });
  },
}[kind];

async function startMiddleware(options) {
  const { default: express } = await import('express');
  const { createProxyMiddleware } = await import('http-proxy-middleware');
  const app = express();
  app.use('/stock', createProxyMiddleware({ target: `http://127.0.0.1:${ports[0]}`, xfwd: true, ...options }));
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server));
  });
}

async function startNest(...adapter) {
  const { NestFactory } = await import('@nestjs/core');
  const { DiscoveryModule } = await import('nestjs-service-discovery');
  const { ServiceGatewayModule } = await import('nestjs-service-discovery/gateway');
  const { InMemoryRegistry } = await import('nestjs-service-discovery/testing');
  const registry = new InMemoryRegistry();
  for (const port of ports) registry.addInstance('STOCK', { port: Number(port) });
  const backend = registry.backend();
  process.on('message', ({ add, remove }) => {
    if (add !== undefined) registry.addInstance('STOCK', { port: add });
    const gone = registry.instancesOf('STOCK').find(({ port }) => port === remove);
    if (gone !== undefined) registry.removeInstance('STOCK', gone.id);
    if (add !== undefined || remove !== undefined) process.send({ done: true });
  });
  class AppModule {}
  const module = {
    module: AppModule,
    imports: [
      ServiceGatewayModule.forRoot({ routes: [{ path: '/stock/**', service: 'STOCK', stripPrefix: 1 }] }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  };
  const app = await NestFactory.create(module, ...adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  return app.getHttpServer();
}

process.on('message', ({ usage }) => {
  if (usage === undefined) return;
  process.send({ cpu: process.cpuUsage(), rss: process.memoryUsage.rss() });
});
process.on('disconnect', () => process.exit(0));
const server = await start();
process.send({ port: server.address().port });
