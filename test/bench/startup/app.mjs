// One start of an app, in a process of its own: how long its imports take, and how long from there until it listens.
import { performance } from 'node:perf_hooks';

const [kind, directory] = process.argv.slice(2);
const t0 = performance.now();
await import('reflect-metadata');
const { Module } = await import('@nestjs/common');
const { NestFactory } = await import('@nestjs/core');
await import('@nestjs/platform-express');
// An app that calls others over HTTP has axios, with or without this module.
await import('axios');
const imports = [];
if (kind === 'discovery') {
  const { DiscoveryModule } = await import('nestjs-service-discovery');
  const { local } = await import('nestjs-service-discovery/local');
  const backend = local({ directory, configDirectory: `${directory}/config` });
  imports.push(() => DiscoveryModule.forRoot({ service: { name: 'APP' }, registry: backend, config: backend }));
}
const t1 = performance.now();
class AppModule {}
Module({ imports: imports.map((make) => make()) })(AppModule);
const app = await NestFactory.create(AppModule, { logger: false });
await app.listen(0, '127.0.0.1');
const t2 = performance.now();
process.stdout.write(JSON.stringify({ importMs: t1 - t0, startMs: t2 - t1 }));
await app.close();
