// Measures the configuration of one app, in a process of its own: prints one line of JSON.
import 'reflect-metadata';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ConfigClient, ConfigValue, DiscoveryModule } from 'nestjs-service-discovery';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';

const [what] = process.argv.slice(2);

function documentOf(keys, value) {
  const lines = [];
  for (let i = 0; i < keys; i += 1) {
    if (i % 100 === 0) lines.push(`group${i / 100}:`);
    lines.push(`  key-${i % 100}: ${value} ${i}`);
  }
  return lines.join('\n');
}

const decorate = (decorators, target, property) => {
  for (const decorator of decorators) decorator(target, property);
};

/** The longest time, in milliseconds, that nothing else had its turn while something ran. */
async function stallOf(run) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await new Promise((resolve) => setTimeout(resolve, 20));
  delay.reset();
  const began = performance.now();
  await run();
  const tookMs = performance.now() - began;
  await new Promise((resolve) => setTimeout(resolve, 20));
  delay.disable();
  return { tookMs, stallMs: delay.max / 1e6 };
}

async function appWith(registry, providers = [], imports = []) {
  const backend = registry.backend();
  class AppModule {}
  Module({
    providers,
    imports: [
      ...imports,
      DiscoveryModule.forRoot({ registry: backend, config: backend, configOptions: { debounceMs: 0 } }),
    ],
  })(AppModule);
  return NestFactory.createApplicationContext(AppModule, { logger: false });
}

if (what === 'read') {
  class Reader {
    plain = 100;
  }
  Reflect.defineMetadata('design:type', Number, Reader.prototype, 'limit');
  decorate([ConfigValue('checkout.limit', 100)], Reader.prototype, 'limit');
  Injectable()(Reader);
  const registry = new InMemoryRegistry();
  registry.setDocument('application.yaml', 'checkout: { limit: 7 }', 'yaml');
  const app = await appWith(
    registry,
    [Reader],
    [ConfigModule.forRoot({ load: [() => ({ checkout: { limit: 7 } })], ignoreEnvFile: true })],
  );
  const reader = app.get(Reader);
  const service = app.get(ConfigService);
  const reads = {
    plainNs: () => reader.plain,
    configValueNs: () => reader.limit,
    configServiceNs: () => service.get('checkout.limit'),
  };
  const result = {};
  for (const [name, read] of Object.entries(reads)) {
    const times = name === 'configServiceNs' ? 200_000 : 5_000_000;
    let sum = 0;
    for (let i = 0; i < times / 5; i += 1) sum += read();
    const began = process.hrtime.bigint();
    for (let i = 0; i < times; i += 1) sum += read();
    result[name] = Number(process.hrtime.bigint() - began) / times;
    if (sum < 0) throw new Error('nothing was read');
  }
  await app.close();
  process.stdout.write(JSON.stringify(result));
} else {
  // `first`: 40,000 keys at the start; `change`: one of 10,000 changes.
  const registry = new InMemoryRegistry();
  let result;
  let app;
  if (what === 'first') {
    // The parser is loaded and compiled for the first document, whatever its size: that is the start's, not the document's.
    registry.setDocument('application.yaml', documentOf(2000, 'value'), 'yaml');
    await (await appWith(registry)).close();
    const big = new InMemoryRegistry();
    big.setDocument('application.yaml', documentOf(40_000, 'value'), 'yaml');
    result = await stallOf(async () => {
      app = await appWith(big);
    });
    if (app.get(ConfigClient).keys.length !== 40_000) throw new Error('not all was read');
  } else {
    registry.setDocument('application.yaml', documentOf(10_000, 'value'), 'yaml');
    app = await appWith(registry);
    const config = app.get(ConfigClient);
    const text = documentOf(10_000, 'value').replace('value 77', 'changed 77');
    result = await stallOf(
      () =>
        new Promise((resolve) => {
          config.onChange('group0.key-77', resolve);
          registry.setDocument('application.yaml', text, 'yaml');
        }),
    );
  }
  await app.close();
  process.stdout.write(JSON.stringify(result));
}
