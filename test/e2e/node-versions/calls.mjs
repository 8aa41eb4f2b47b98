// Run by each Node, against the built package: says what its own `fetch` did through a dispatcher, and through a client.
import { createServer } from 'node:http';
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryModule, ServiceFetch, ServiceHttpClient } from 'nestjs-service-discovery';
import { serviceDispatcher } from 'nestjs-service-discovery/fetch';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';

const servers = [];
const hits = [0, 0];

async function serve(answer) {
  const server = createServer(answer);
  servers.push(server);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

const registry = new InMemoryRegistry();
const broken = await serve((request) => request.socket.destroy());
for (const index of [0, 1]) {
  const port = await serve(async (request, response) => {
    hits[index] += 1;
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url === '/away') response.writeHead(302, { location: `http://localhost:${broken}/` }).end();
    else if (request.url === '/near') response.writeHead(302, { location: '/' }).end();
    else response.end(JSON.stringify({ method: request.method, body: Buffer.concat(chunks).toString() }));
  });
  registry.addInstance('STOCK', { port });
}
registry.addInstance('FLAKY', { port: broken });
registry.addInstance('FLAKY', { port: await serve((_request, response) => response.end('well')) });

const backend = registry.backend();
class App {}
Module({ imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })(App);
const app = await NestFactory.createApplicationContext(App, { logger: false });
const http = app.get(ServiceHttpClient);
const dispatcher = serviceDispatcher(http);
const { fetch: call } = app.get(ServiceFetch);

const told = { undici: process.versions.undici };
for (let i = 0; i < 10; i += 1) {
  await (await fetch('http://STOCK/', { dispatcher })).json();
  await (await call('lb://STOCK/')).json();
}
told.hits = [...hits];
const post = { method: 'POST', body: 'text' };
told.posted = [
  await (await fetch('http://stock/', { ...post, dispatcher })).json(),
  await (await call('lb://STOCK/', post)).json(),
  await (await call(new Request('lb://STOCK/', post))).json(),
];
const stream = () => new Blob(['stre', 'am']).stream();
told.streamed = [
  await (await fetch('http://stock/', { method: 'PUT', body: stream(), duplex: 'half', dispatcher })).json(),
  await (await call('lb://STOCK/', { method: 'PUT', body: stream(), duplex: 'half' })).json(),
];
told.retried = [];
for (let i = 0; i < 4; i += 1) {
  told.retried.push(await (await fetch('http://flaky/', { dispatcher })).text());
  told.retried.push(await (await call('lb://FLAKY/', { method: 'PUT', body: 'text' })).text());
}
told.near = (await call('lb://STOCK/near')).status;
const failure = (error) => [error.message, error.cause?.code ?? error.cause?.name];
told.away = failure(await call('lb://STOCK/away').catch((error) => error));
told.nobody = [
  failure(await fetch('http://nobody/', { dispatcher }).catch((error) => error)),
  failure(await call('lb://NOBODY/').catch((error) => error)),
];
told.aborted = (await call('lb://STOCK/', { signal: AbortSignal.abort() }).catch((error) => error)).name;
told.pending = http.instanceStats().reduce((sum, { pending }) => sum + pending, 0);
await app.close();
for (const server of servers) server.close();
process.stdout.write(JSON.stringify(told));
