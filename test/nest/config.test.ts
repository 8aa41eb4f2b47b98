import { Controller, Get, Injectable, Module, Scope } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  ConfigClient,
  ConfigRef,
  ConfigValue,
  DiscoveryModule,
  EventHub,
  getConfigRefToken,
  OnConfigChange,
  type ConfigChange,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { configured, moduleWith } from './configured.js';
import { createApp, init, listen, LogCollector } from './support.js';

describe('@ConfigValue on properties', () => {
  test('reads the newest value, in every scope, over ES2022 fields and in subclasses', async () => {
    class Base {
      @ConfigValue('a.limit', 1) readonly limit!: number;
      @ConfigValue('a.name', 'none') readonly name: string | undefined = undefined;
    }
    @Injectable()
    class Singleton extends Base {
      @ConfigValue('a.limit', 7) override readonly limit: number = 0;
      @ConfigValue('a.own', true) readonly own!: boolean;
    }
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient extends Base {}
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest extends Base {}
    const registry = configured('a: { name: first }');
    const app = await init(moduleWith(registry, [Singleton, Transient, PerRequest]));
    const all = async (): Promise<readonly Base[]> => [
      app.get(Singleton),
      await app.resolve(Transient),
      await app.resolve(PerRequest),
    ];
    const before = await all();
    expect(before.map(({ limit, name }) => [limit, name])).toEqual([
      [7, 'first'],
      [1, 'first'],
      [1, 'first'],
    ]);
    expect(app.get(Singleton).own).toBe(true);
    registry.setDocument('application.yaml', 'a: { name: second, limit: 9 }', 'yaml');
    await expect.poll(() => before[0]?.name).toBe('second');
    for (const { limit, name } of [...before, ...(await all())]) expect([limit, name]).toEqual([9, 'second']);
  });

  test('in controllers, in modules, and in lazily loaded modules', async () => {
    @Controller()
    class Page {
      @ConfigValue('page.title', 'untitled') private readonly title!: string;
      @Get() get(): string {
        return this.title;
      }
    }
    const registry = configured('page.title: Home');
    const backend = registry.backend();
    @Module({ controllers: [Page], imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class AppModule {
      @ConfigValue('page.title') readonly title!: string;
    }
    const app = await listen(AppModule);
    expect(await (await fetch(await app.getUrl())).text()).toBe('Home');
    expect(app.get(AppModule).title).toBe('Home');
    @Injectable()
    class Late {
      @ConfigValue('page.title') readonly title!: string;
      constructor(@ConfigValue('page.late', 'soon') readonly late: ConfigRef<string>) {}
    }
    @Module({ providers: [Late] })
    class LateModule {}
    const late = (await app.get(LazyModuleLoader).load(() => LateModule)).get(Late);
    expect([late.title, late.late.value]).toEqual(['Home', 'soon']);
  });

  test('the type comes from the schema, else the default, else the property', async () => {
    @Injectable()
    class Typed {
      @ConfigValue('n') readonly number!: number;
      @ConfigValue('b') readonly flag!: boolean;
      @ConfigValue('n') readonly text!: string;
      @ConfigValue('n', 0) readonly byDefault!: unknown;
      @ConfigValue('l', ['x']) readonly list!: string[];
      @ConfigValue('o') readonly object!: { readonly p: number };
      @ConfigValue('n', { schema: z.coerce.number().transform((n) => n * 2), default: 1 }) readonly bySchema!: number;
      @ConfigValue('missing', { schema: z.number().default(4) }) readonly schemaDefault!: number;
    }
    const registry = configured("n: '5'\nb: 'true'\nl: a, b\no: { p: 1 }");
    const typed = (await init(moduleWith(registry, [Typed]))).get(Typed);
    expect({ ...typed }).toEqual({
      number: 5,
      flag: true,
      text: '5',
      byDefault: 5,
      list: ['a', 'b'],
      object: { p: 1 },
      bySchema: 10,
      schemaDefault: 4,
    });
  });

  test('neither value nor default is an error at start that names the key, and the app can be closed', async () => {
    @Injectable()
    class Needy {
      @ConfigValue('needed.key') readonly value!: string;
    }
    const app = await createApp(moduleWith(configured('a: 1'), [Needy]));
    await expect(app.init()).rejects.toMatchObject({ code: 'CONFIG_VALUE_MISSING', field: 'needed.key' });
    await app.close();
  });

  test('a value that does not fit is an error at start too', async () => {
    @Injectable()
    class Needy {
      @ConfigValue('n', 1) readonly value!: number;
    }
    const app = await createApp(moduleWith(configured('n: many'), [Needy]));
    await expect(app.init()).rejects.toMatchObject({ code: 'CONFIG_VALUE_INVALID', field: 'n' });
  });

  test('a later value that does not fit changes nothing but an event, and a right one is taken', async () => {
    @Injectable()
    class Strict {
      @ConfigValue('n', { schema: z.number().max(10) }) readonly n!: number;
      @ConfigValue('other', 'x') readonly other!: string;
    }
    const registry = configured('n: 1');
    const app = await init(moduleWith(registry, [Strict]));
    const rejected: string[] = [];
    app.get(EventHub).on('config.rejected', ({ error }) => rejected.push(error.code));
    registry.setDocument('application.yaml', 'n: 11\nother: y', 'yaml');
    await expect.poll(() => rejected).toEqual(['CONFIG_VALUE_INVALID']);
    expect(app.get(Strict)).toMatchObject({ n: 1, other: 'x' });
    registry.setDocument('application.yaml', 'n: [', 'yaml');
    await expect.poll(() => rejected).toEqual(['CONFIG_VALUE_INVALID', 'CONFIG_DOCUMENT_INVALID']);
    expect(app.get(Strict).n).toBe(1);
    registry.setDocument('application.yaml', 'n: 2\nother: z', 'yaml');
    await expect.poll(() => app.get(Strict).n).toBe(2);
    expect(app.get(Strict).other).toBe('z');
  });

  test('a deleted document falls back to the default', async () => {
    @Injectable()
    class Holder {
      @ConfigValue('n', 1) readonly n!: number;
    }
    const registry = configured('n: 5');
    const app = await init(moduleWith(registry, [Holder]));
    expect(app.get(Holder).n).toBe(5);
    registry.removeDocument('application.yaml');
    await expect.poll(() => app.get(Holder).n).toBe(1);
  });

  test('two apps read their own configuration through the same class', async () => {
    @Injectable()
    class Shared {
      @ConfigValue('n', 0) readonly n!: number;
    }
    const one = await init(moduleWith(configured('n: 1'), [Shared]));
    const two = await init(moduleWith(configured('n: 2'), [Shared]));
    expect([one.get(Shared).n, two.get(Shared).n]).toEqual([1, 2]);
  });

  test('without the module Nest says what is missing', async () => {
    @Injectable()
    class Lonely {
      @ConfigValue('n', 0) readonly n!: number;
    }
    await expect(Test.createTestingModule({ providers: [Lonely] }).compile()).rejects.toThrow(/Lonely/);
  });
});

describe('ConfigRef', () => {
  test('can be read in the constructor, is live, tells changes, and can be overridden', async () => {
    @Injectable()
    class Holder {
      readonly atConstruction: number;
      constructor(@ConfigValue('ref.n', 3) readonly n: ConfigRef<number>) {
        this.atConstruction = n.value;
      }
    }
    const registry = configured('ref.n: 4');
    const app = await init(moduleWith(registry, [Holder]));
    const holder = app.get(Holder);
    expect([holder.atConstruction, holder.n.key]).toEqual([4, 'ref.n']);
    const seen: number[] = [];
    const subscription = holder.n.changes.subscribe((value) => seen.push(value));
    registry.setDocument('application.yaml', 'ref.n: 5', 'yaml');
    await expect.poll(() => seen).toEqual([4, 5]);
    expect(holder.n.value).toBe(5);
    subscription.unsubscribe();

    const backend = registry.backend();
    const module = await Test.createTestingModule({
      providers: [Holder],
      imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })],
    })
      .overrideProvider(getConfigRefToken('ref.n', 3))
      .useValue({ value: 42 })
      .compile();
    expect(module.get(Holder).atConstruction).toBe(42);
    await module.init();
    await module.close();
  });

  test('a parameter that is not configured is an error at start, in this app only', async () => {
    @Injectable()
    class Needy {
      constructor(@ConfigValue('ref.needed') readonly n: ConfigRef<number>) {}
    }
    const app = await createApp(moduleWith(configured('a: 1'), [Needy]));
    await expect(app.init()).rejects.toMatchObject({ code: 'CONFIG_VALUE_MISSING', field: 'ref.needed' });
    await init(moduleWith(configured('a: 1'), []));
  });
});

describe('loading', () => {
  test('layers: shared, profile, own, own profile; of several backends the first wins', async () => {
    const [first, second] = [new InMemoryRegistry(), new InMemoryRegistry()];
    first.setDocument('application.yaml', 'a: 1\nb: 1\nc: 1\nd: 1', 'yaml');
    first.setDocument('SHOP.yaml', 'c: 3', 'yaml');
    first.setDocument('SHOP-dev.yaml', 'd: 4', 'yaml');
    second.setDocument('SHOP-dev.yaml', 'a: 9\ne: 9', 'yaml');
    @Module({
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'SHOP' },
          profiles: ['dev'],
          registry: first.backend(),
          config: [first.backend({ name: 'one' }), second.backend({ name: 'two' })],
        }),
      ],
    })
    class AppModule {}
    const config = (await init(AppModule)).get(ConfigClient);
    expect(config.get('')).toEqual({ a: 1, b: 1, c: 3, d: 4, e: 9 });
    expect(config.get('c', '0')).toBe('3');
  });

  test('a backend that is down is an error at start, unless configuration is optional', async () => {
    const registry = configured('n: 1');
    registry.fail();
    await expect(createApp(moduleWith(registry, []))).rejects.toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    const app = await init(moduleWith(registry, [], { configOptions: { optional: true } }));
    expect(app.get(ConfigClient).keys).toEqual([]);
    registry.recover();
    await expect.poll(() => app.get(ConfigClient).get('n')).toBe(1);
  });

  test.for([
    ['a: [', 'CONFIG_DOCUMENT_INVALID', 'application.yaml'],
    ['__proto__: { polluted: 1 }', 'CONFIG_DOCUMENT_INVALID', '__proto__'],
    ['just a text', 'CONFIG_DOCUMENT_INVALID', 'application.yaml'],
  ] as const)('a document that cannot be used (%s) is an error at start', async ([text, code, field]) => {
    await expect(createApp(moduleWith(configured(text), []))).rejects.toMatchObject({ code, field });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('the whole configuration can have a schema', async () => {
    const options = { configOptions: { schema: z.object({ n: z.number() }) } };
    await expect(createApp(moduleWith(configured('n: x'), [], options))).rejects.toMatchObject({
      code: 'CONFIG_VALUE_INVALID',
    });
    const registry = configured('n: 1');
    const app = await init(moduleWith(registry, [], options));
    const rejected: string[] = [];
    app.get(EventHub).on('config.rejected', ({ error }) => rejected.push(error.message));
    registry.setDocument('application.yaml', 'm: 1', 'yaml');
    await expect.poll(() => rejected.length).toBe(1);
    expect(app.get(ConfigClient).get('n')).toBe(1);
  });

  test('a thousand writes are few swaps, and the last wins', async () => {
    const registry = configured('n: 0');
    const app = await init(moduleWith(registry, []));
    let swaps = 0;
    app.get(EventHub).on('config.changed', () => (swaps += 1));
    for (let n = 1; n <= 1000; n += 1) registry.setDocument('application.yaml', `n: ${n}`, 'yaml');
    await expect.poll(() => app.get(ConfigClient).get('n')).toBe(1000);
    expect(swaps).toBeLessThanOrEqual(5);
  });

  test('last known documents on disk stand in for a backend that is down', async () => {
    const { mkdtemp, rm } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const { join } = await import('node:path');
    const snapshotDirectory = await mkdtemp(join(tmpdir(), 'nsd-test-'));
    try {
      const registry = configured('n: 1');
      const options = { snapshotDirectory, configOptions: { snapshots: true } };
      await (await init(moduleWith(registry, [], options))).close();
      registry.fail();
      const app = await init(moduleWith(registry, [], options));
      expect(app.get(ConfigClient).get('n')).toBe(1);
    } finally {
      await rm(snapshotDirectory, { recursive: true });
    }
  });
});

describe('ConfigClient', () => {
  test('watches keys and prefixes, publishes, compares and removes', async () => {
    const registry = configured('a: { x: 1, y: 1 }\nb: 1');
    const app = await init(moduleWith(registry, []));
    const config = app.get(ConfigClient);
    const values: unknown[] = [];
    const changes: ConfigChange[] = [];
    config.watch('a').subscribe((value) => values.push(value));
    config.changes('a').subscribe((change) => changes.push(change));
    registry.setDocument('application.yaml', 'a: { x: 2, y: 1 }\nb: 1', 'yaml');
    await expect.poll(() => changes.length).toBe(1);
    expect(changes[0]).toEqual({
      path: 'a',
      oldValue: { x: 1, y: 1 },
      newValue: { x: 2, y: 1 },
      keys: ['a.x'],
      changes: [{ key: 'a.x', oldValue: 1, newValue: 2 }],
    });
    registry.setDocument('application.yaml', 'a: { x: 2, y: 1 }\nb: 2', 'yaml');
    await expect.poll(() => config.get('b')).toBe(2);
    expect(values).toEqual([
      { x: 1, y: 1 },
      { x: 2, y: 1 },
    ]);

    const revision = await config.publish('application.json', '{"c":1}', { ifRevision: null, format: 'json' });
    await expect.poll(() => config.get('c')).toBe(1);
    await expect(config.publish('application.json', '{}', { ifRevision: null })).rejects.toMatchObject({
      code: 'CONFIG_CONFLICT',
    });
    await config.publish('application.json', '{"c":2}', { ifRevision: revision });
    expect((await config.read('application.json'))?.content).toEqual({ format: 'json', text: '{"c":2}' });
    await expect.poll(() => config.get('c')).toBe(2);
    expect(await config.remove('application.json')).toBe(true);
    await expect.poll(() => config.get('c')).toBe(undefined);
    await expect(config.publish('../x', '')).rejects.toMatchObject({ code: 'INVALID_NAME' });
    await expect(config.publish('x', '', { backend: 'nobody' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe('@OnConfigChange', () => {
  test('is called for a key or prefix; a handler that throws or rejects hurts nobody', async () => {
    const calls: string[] = [];
    @Injectable()
    class Listener {
      @OnConfigChange('a') prefix({ keys }: ConfigChange): void {
        calls.push(`a ${keys.join()}`);
      }
      @OnConfigChange('a.x') throwing(): void {
        calls.push('throws');
        throw new Error('no');
      }
      @OnConfigChange('a.x') async rejecting(): Promise<void> {
        throw new Error('never');
      }
      @OnConfigChange('b') other(): void {
        calls.push('b');
      }
    }
    const registry = configured('a: { x: 1 }');
    const app = await init(moduleWith(registry, [Listener]));
    const failed: string[] = [];
    app.get(EventHub).on('listener.failed', ({ where }) => failed.push(where));
    registry.setDocument('application.yaml', 'a: { x: 2 }', 'yaml');
    await expect.poll(() => failed.length).toBe(2);
    expect(calls.sort()).toEqual(['a a.x', 'throws']);
    expect(failed.sort()).toEqual(['Listener.rejecting', 'Listener.throwing']);
    await app.close();
    registry.setDocument('application.yaml', 'b: 3', 'yaml');
    expect(calls).toHaveLength(2);
  });

  test('in a lazily loaded module; and a request-scoped class is told that it is never called', async () => {
    const calls: string[] = [];
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @OnConfigChange('n') never(): void {
        calls.push('never');
      }
    }
    const registry = configured('n: 1');
    const logger = new LogCollector();
    const app = await init(moduleWith(registry, [PerRequest]), logger);
    expect(logger.warnings().join()).toContain('PerRequest is request-scoped');
    @Injectable()
    class Late {
      @OnConfigChange('n') changed({ newValue }: ConfigChange): void {
        calls.push(`late ${String(newValue)}`);
      }
    }
    @Module({ providers: [Late] })
    class LateModule {}
    await app.get(LazyModuleLoader).load(() => LateModule);
    await new Promise((resolve) => setImmediate(resolve));
    registry.setDocument('application.yaml', 'n: 2', 'yaml');
    await expect.poll(() => calls).toEqual(['late 2']);
  });
});
