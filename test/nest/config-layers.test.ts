import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable, Module, type Type } from '@nestjs/common';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  ConfigClient,
  ConfigValue,
  DiscoveryModule,
  EventHub,
  type DiscoveryEvent,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createApp, init, LogCollector } from './support.js';

function moduleWith(registry: InMemoryRegistry, options: DiscoveryModuleOptions = {}, providers: Type[] = []): Type {
  const backend = registry.backend();
  const service = { name: 'ORDERS' };
  const imported = DiscoveryModule.forRoot({ service, registry: backend, config: backend, ...options });
  @Module({ providers, imports: [imported] })
  class AppModule {}
  return AppModule;
}

describe('layers', () => {
  test('the command line wins over the environment, that over documents, those with profiles over those without', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'k: { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 }', 'yaml');
    registry.setDocument('application-dev.yaml', 'k: { b: 2, c: 2, d: 2, e: 2, f: 2 }', 'yaml');
    registry.setDocument(
      'ORDERS.yaml',
      'k: { c: 3, d: 3, e: 3, f: 3 }\n---\nspring.config.activate.on-profile: x\nk.c: 9',
      'yaml',
    );
    registry.setDocument('ORDERS-dev.yaml', 'k: { d: 4, e: 4, f: 4 }', 'yaml');
    const configOptions = { environment: { K_E: '5', SERVICE_CONFIG__K__F: '5' }, commandLine: ['--k.f=6'] };
    const app = await init(moduleWith(registry, { profiles: ['dev'], configOptions }));
    const config = app.get(ConfigClient);
    expect(config.get('k')).toEqual({ a: 1, b: 2, c: 3, d: 4, e: '5', f: '6' });
    expect(config.explain('k.f').overrides.map(({ origin }) => origin.name)).toEqual([
      'SERVICE_CONFIG__K__F',
      'ORDERS-dev.yaml',
      'ORDERS.yaml',
      'application-dev.yaml',
      'application.yaml',
    ]);
    // Taken away, a value falls back to the next layer.
    registry.setDocument('ORDERS-dev.yaml', 'x: 1', 'yaml');
    await expect.poll(() => config.get('k.d')).toBe(3);
  });

  test('environment and command line can be left out', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'k.a: 1\nurl: ${HOME:none}', 'yaml');
    process.env['K_A'] = 'env';
    onTestFinished(() => void delete process.env['K_A']);
    const configOptions = { environment: false, commandLine: false };
    expect((await init(moduleWith(registry, { configOptions }))).get(ConfigClient).get('k.a')).toBe(1);
    expect((await init(moduleWith(registry))).get(ConfigClient).get('k.a')).toBe('env');
  });

  test('placeholders find the app’s own name, and one without value that is declared is an error when the app starts', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'a: "${spring.application.name}/${x:y}"\nb: ${none}', 'yaml');
    @Injectable()
    class Values {
      @ConfigValue('a') readonly a!: string;
      @ConfigValue('b') readonly b!: string;
    }
    @Injectable()
    class Good {
      @ConfigValue('a') readonly a!: string;
    }
    expect((await init(moduleWith(registry, {}, [Good]))).get(Good).a).toBe('ORDERS/y');
    await expect(init(moduleWith(registry, {}, [Values]))).rejects.toMatchObject({
      code: 'CONFIG_VALUE_MISSING',
      field: 'b',
      message: expect.stringContaining('${none}') as string,
    });
  });

  test('a circle of placeholders keeps the configuration as it was', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'a: 1', 'yaml');
    const app = await init(moduleWith(registry));
    const rejected: string[] = [];
    app.get(EventHub).on('config.rejected', ({ error }) => rejected.push(error.message));
    registry.setDocument('application.yaml', 'a: ${b}\nb: ${a}', 'yaml');
    await expect.poll(() => rejected).toEqual([expect.stringContaining('a → b → a')]);
    expect(app.get(ConfigClient).get('a')).toBe(1);
  });
});

describe('documents that are named', () => {
  test('win over the layers, in the format that they are declared with, and are live', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'a: 1\nb: 1\nc: 1', 'yaml');
    registry.setDocument('starter', 'a: 2\nb: 2', 'text');
    registry.setDocument('last.json', '{"b":3}', 'json');
    const documents = [{ id: 'starter', format: 'yaml' as const }, { id: 'last.json' }, { id: 'none', optional: true }];
    const app = await init(moduleWith(registry, { configOptions: { documents } }));
    const config = app.get(ConfigClient);
    // What isn't declared and is no layer, but lies beside them, is a text under its name on this backend.
    expect(config.get('')).toMatchObject({ a: 2, b: 3, c: 1 });
    registry.setDocument('starter', 'a: 5', 'text');
    await expect.poll(() => config.get('a')).toBe(5);
    registry.setDocument('none', 'd: 1', 'yaml');
    await expect.poll(() => config.get('d')).toBe(1);
    const only = await init(moduleWith(registry, { configOptions: { documents, layers: false } }));
    expect(only.get(ConfigClient).get('')).toEqual({ a: 5, b: 3, d: 1 });
  });

  test('that are not there are an error when the app starts', async () => {
    const configOptions = { documents: [{ id: 'none' }] };
    await expect(createApp(moduleWith(new InMemoryRegistry(), { configOptions }))).rejects.toMatchObject({
      code: 'CONFIG_UNAVAILABLE',
      field: 'configOptions.documents',
      message: expect.stringContaining("'none'") as string,
    });
  });

  test.for([
    [{ documents: [{}] }, 'configOptions.documents'],
    [{ documents: [{ id: 'x', format: 'xml' }] }, 'format'],
    [{ environment: 5 }, 'environment'],
    [{ decoders: [{ prefix: 'x' }] }, 'decode'],
  ])('a wrong option names its field: %j', ([configOptions, field]) => {
    expect(() => DiscoveryModule.forRoot({ configOptions: configOptions as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: expect.stringContaining(field as string) as string }),
    );
  });
});

describe('what happens', () => {
  const eventsOf = (hub: EventHub): DiscoveryEvent[] => {
    const events: DiscoveryEvent[] = [];
    hub.subscribe((event) => void (event.type.startsWith('config.') && events.push(event)));
    return events;
  };

  test('of two documents that change together the good one is taken, and the words say what the other keeps', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'a: 1', 'yaml');
    registry.setDocument('ORDERS.yaml', 'b: 1', 'yaml');
    const log = new LogCollector();
    const app = await init(moduleWith(registry), log);
    const config = app.get(ConfigClient);
    registry.setDocument('application.yaml', 'a: [', 'yaml');
    registry.setDocument('ORDERS.yaml', 'b: 2', 'yaml');
    await expect.poll(() => config.get('b')).toBe(2);
    expect(config.get('a')).toBe(1);
    expect(log.lines.filter((line) => line.includes('application.yaml'))).toEqual([
      expect.stringMatching(/application\.yaml keeps its last good version \(revision \S+\): .*doesn't parse as yaml/),
    ]);
  });

  test('a lost backend is an outage, told when it begins and when it is over', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'a: 1', 'yaml');
    const app = await init(moduleWith(registry));
    const events = eventsOf(app.get(EventHub));
    registry.fail();
    await app
      .get(ConfigClient)
      .refresh()
      .catch(() => {});
    await expect.poll(() => events.map(({ type }) => type)).toContain('config.failed');
    registry.recover();
    await app
      .get(ConfigClient)
      .refresh()
      .catch(() => {});
    await expect.poll(() => events.map(({ type }) => type)).toContain('config.recovered');
    expect(events.map(({ type }) => type)).not.toContain('config.rejected');
    expect(app.get(ConfigClient).get('a')).toBe(1);
  });

  test('an app that starts with what was kept says how old that is', async () => {
    const snapshotDirectory = await mkdtemp(join(tmpdir(), 'config-snapshots-'));
    onTestFinished(() => rm(snapshotDirectory, { recursive: true, force: true }));
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', 'a: 1', 'yaml');
    const options = { snapshotDirectory, configOptions: { snapshots: true, loadTimeoutMs: 200 } };
    const first = await init(moduleWith(registry, options));
    await first.close();
    registry.fail();
    const log = new LogCollector();
    const app = await init(moduleWith(registry, options), log);
    expect(app.get(ConfigClient).get('a')).toBe(1);
    expect(log.lines.filter((line) => line.includes('snapshot'))).toEqual([
      expect.stringMatching(/started with the snapshot of \d{4}-\S+Z, [\d.]+ s old/),
    ]);
    expect(log.lines.join('\n')).not.toContain('rejected');
  });

  test('a text that does not parse as its format is not published, unless that is asked for', async () => {
    const registry = new InMemoryRegistry();
    const config = (await init(moduleWith(registry))).get(ConfigClient);
    for (const [id, text] of [
      ['a.yaml', 'a: ['],
      ['a.json', '{"a":1,"a":2}'],
      ['a.toml', 'a ='],
    ] as const) {
      await expect(config.publish(id, text)).rejects.toMatchObject({ code: 'CONFIG_DOCUMENT_INVALID', field: id });
      expect(await config.read(id)).toBeUndefined();
    }
    await config.publish('b.yaml', 'a: [', { force: true });
    expect((await config.read('b.yaml'))?.content).toMatchObject({ text: 'a: [' });
    await config.publish('notes.txt', 'a: [', { format: 'text' });
  });

  test('values that begin with a decoder’s prefix are decoded, masked, and decoded anew when it says so', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('application.yaml', "a: '{rot}uryyb'\nb: x${a}\nc: plain", 'yaml');
    const rot = (text: string): string =>
      text.replace(/[a-z]/g, (c) => String.fromCharCode(((c.charCodeAt(0) - 84) % 26) + 97));
    let suffix = '';
    let tell = (): void => {};
    let ended = 0;
    const decoder = {
      prefix: '{rot}',
      decode: async (text: string) => {
        if (text === 'bad') throw new Error('no key');
        return rot(text) + suffix;
      },
      follow: (changed: () => void) => {
        tell = changed;
        return () => void (ended += 1);
      },
    };
    const app = await init(moduleWith(registry, { configOptions: { decoders: [decoder] } }));
    const config = app.get(ConfigClient);
    expect(config.get('')).toEqual({ a: 'hello', b: 'xhello', c: 'plain' });
    expect([config.explain('a').value, config.explain('b').value, config.explain('c').value]).toEqual([
      '******',
      '******',
      'plain',
    ]);
    suffix = '!';
    tell();
    await expect.poll(() => config.get('b')).toBe('xhello!');
    const rejected: unknown[] = [];
    app.get(EventHub).on('config.rejected', ({ error }) => rejected.push(error.field));
    registry.setDocument('application.yaml', "a: '{rot}bad'", 'yaml');
    await expect.poll(() => rejected).toEqual(['a']);
    expect(config.get('a')).toBe('hello!');
    await app.close();
    expect(ended).toBe(1);
  });
});
