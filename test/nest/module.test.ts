import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable, Module } from '@nestjs/common';
import * as nestCore from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, test } from 'vitest';
import * as library from '../../lib/index.js';
import { local } from '../../lib/backends/local/index.js';
import { ConfigClient, DiscoveryClient, DiscoveryModule, type DiscoveryModuleOptions } from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createApp, init, listen, LogCollector } from './support.js';

describe('forRootAsync', () => {
  test.for(['useFactory', 'useClass', 'useExisting'] as const)('takes its options from %s', async (kind) => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    @Injectable()
    class Settings {
      createDiscoveryOptions(): DiscoveryModuleOptions {
        const backend = registry.backend();
        return { registry: backend, config: backend };
      }
    }
    @Module({ providers: [Settings], exports: [Settings] })
    class SettingsModule {}
    const options = {
      useFactory: {
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: (settings: Settings) => settings.createDiscoveryOptions(),
      },
      useClass: { useClass: Settings },
      useExisting: { imports: [SettingsModule], useExisting: Settings },
    }[kind];
    @Module({ imports: [DiscoveryModule.forRootAsync(options)] })
    class AppModule {}
    const app = await init(AppModule);
    expect(await app.get(DiscoveryClient).getServices()).toEqual(['STOCK']);
  });

  test('takes exactly one of them', () => {
    expect(() => DiscoveryModule.forRootAsync({})).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  test('checks what the factory gives', async () => {
    @Module({
      imports: [DiscoveryModule.forRootAsync({ useFactory: () => ({ service: { name: '../x' } }) })],
    })
    class AppModule {}
    await expect(createApp(AppModule)).rejects.toMatchObject({ code: 'INVALID_NAME', field: 'service.name' });
  });
});

describe('bad input is one clear error that names the field', () => {
  const backend = new InMemoryRegistry().backend();
  test.for([
    [{ registri: backend }, 'INVALID_OPTION', 'registri'],
    [{ service: {} }, 'INVALID_OPTION', 'service.name'],
    [{ service: { name: '' } }, 'INVALID_OPTION', 'service.name'],
    [{ service: { name: '../STOCK' } }, 'INVALID_NAME', 'service.name'],
    [{ service: { name: 'STOCK', port: 70_000 } }, 'INVALID_OPTION', 'service.port'],
    [{ service: { name: 'STOCK', port: '80' } }, 'INVALID_OPTION', 'service.port'],
    [
      { service: { name: 'STOCK', metadata: JSON.parse('{"__proto__":"x"}') as object } },
      'INVALID_OPTION',
      'service.metadata.__proto__',
    ],
    [{ service: { name: 'STOCK', metadata: { a: {} } } }, 'INVALID_OPTION', 'service.metadata.a'],
    [{ registry: 'eureka' }, 'INVALID_OPTION', 'registry'],
    [{ registry: [backend, { backend, registers: false }] }, 'INVALID_OPTION', 'registry[1].registers'],
    [{ config: {} }, 'INVALID_OPTION', 'config'],
    [{ registration: 'later' }, 'INVALID_OPTION', 'registration'],
    [{ http: { balancing: 'best' } }, 'INVALID_OPTION', 'http.balancing'],
    [{ clients: { STOCK: { timeout: 5 } } }, 'INVALID_OPTION', 'clients.STOCK.timeout'],
    [{ discovery: { lingerMs: -1 } }, 'INVALID_OPTION', 'discovery.lingerMs'],
    [{ shutdown: { propagationDelayMs: '3s' } }, 'INVALID_OPTION', 'shutdown.propagationDelayMs'],
  ] as const)('%j', ([options, code, field]) => {
    expect(() => DiscoveryModule.forRoot(options as never)).toThrow(expect.objectContaining({ code, field }));
  });

  test('two backends of one name', async () => {
    const [one, two] = [new InMemoryRegistry(), new InMemoryRegistry()];
    @Module({ imports: [DiscoveryModule.forRoot({ registry: [one.backend(), two.backend()], config: one.backend() })] })
    class AppModule {}
    await expect(createApp(AppModule)).rejects.toMatchObject({ code: 'DUPLICATE_BACKEND', backend: 'in-memory' });
  });

  test('a second forRoot', async () => {
    const registry = new InMemoryRegistry();
    const root = () => {
      const own = registry.backend();
      return DiscoveryModule.forRoot({ registry: own, config: own });
    };
    @Module({ imports: [root()] })
    class Feature {}
    @Module({ imports: [Feature, root()] })
    class AppModule {}
    await expect(createApp(AppModule)).rejects.toMatchObject({ code: 'MODULE_ALREADY_CONFIGURED' });
  });

  test('a product that lacks what it is used for', async () => {
    const full = new InMemoryRegistry().backend();
    const definition = {
      kind: 'half',
      name: 'half',
      create: (context: Parameters<typeof full.create>[0]) => {
        const { name, state } = full.create(context);
        return { name, state, open: async () => {}, close: async () => {} };
      },
    };
    @Module({ imports: [DiscoveryModule.forRoot({ registry: full, config: definition })] })
    class AppModule {}
    await expect(createApp(AppModule)).rejects.toMatchObject({ code: 'UNSUPPORTED', backend: 'half', field: 'config' });
  });
});

describe('the house in a process', () => {
  test('nothing is called as something of @nestjs/core, but the module', () => {
    const same = Object.keys(library).filter((name) => name in nestCore);
    expect(same).toEqual(['DiscoveryModule']);
  });

  test('overrides and mocks work in a testing module', async () => {
    const registry = new InMemoryRegistry();
    const backend = registry.backend();
    const module = await Test.createTestingModule({
      imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })],
    })
      .overrideProvider(DiscoveryClient)
      .useValue({ getServices: async () => ['FAKE'] })
      .compile();
    await module.init();
    expect(await module.get(DiscoveryClient).getServices()).toEqual(['FAKE']);
    await module.close();
  });

  test('after close nothing of an app is left: no timer, no socket, no watch', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    const handles = () =>
      process
        .getActiveResourcesInfo()
        .filter((name) => /Timeout|TCP|FS/.test(name))
        .sort();
    const before = handles();
    const backend = registry.backend();
    @Module({
      imports: [DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry: backend, config: backend })],
    })
    class AppModule {}
    const app = await listen(AppModule);
    await app.get(DiscoveryClient).getInstances('STOCK');
    await app.close();
    await expect.poll(handles).toEqual(before);
    expect(registry.stats).toMatchObject({ openWatches: 0, openConfigWatches: 0 });
  });

  test('a start that fails leaves nothing open either', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'a: [', 'yaml');
    const backend = registry.backend();
    @Module({ imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class AppModule {}
    await expect(createApp(AppModule)).rejects.toMatchObject({ code: 'CONFIG_DOCUMENT_INVALID' });
    expect(registry.stats).toMatchObject({ openWatches: 0, openConfigWatches: 0 });
  });

  test.for(['registry', 'config'] as const)(
    'a local backend given as %s alone serves for the other too',
    async (part) => {
      const folder = mkdtempSync(join(tmpdir(), 'nsd-module-'));
      try {
        writeFileSync(join(folder, 'application.json'), '{ "limit": 7 }');
        const backend = local({ directory: join(folder, 'registry'), configDirectory: folder });
        @Module({ imports: [DiscoveryModule.forRoot({ [part]: backend })] })
        class AppModule {}
        const app = await init(AppModule);
        expect(app.get(ConfigClient).get('limit')).toBe(7);
        expect(await app.get(DiscoveryClient).getServices()).toEqual([]);
        expect(existsSync(join(folder, 'registry'))).toBe(true);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});

test('two copies of the package are named, before Nest misses what the other one declared', async () => {
  const shared = globalThis as Record<symbol, { path: string; declared: Set<string> }[] | undefined>;
  const copies = shared[Symbol.for('nestjs-service-discovery:copies')] ?? [];
  shared[Symbol.for('nestjs-service-discovery:copies')] = copies;
  const other = { path: '/contracts/node_modules/nestjs-service-discovery/x.js', declared: new Set(['StockApi']) };
  const start = async (): Promise<readonly string[]> => {
    const backend = new InMemoryRegistry().backend();
    @Module({ imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class AppModule {}
    const logger = new LogCollector();
    await init(AppModule, logger);
    return logger.lines.filter((line) => line.includes('two copies'));
  };
  expect(await start()).toEqual([]);
  copies.push(other);
  try {
    const lines = await start();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/copies\.[jt]s.* and \/contracts\/.*x\.js \(which declared StockApi\)/);
  } finally {
    copies.splice(copies.indexOf(other), 1);
  }
});
