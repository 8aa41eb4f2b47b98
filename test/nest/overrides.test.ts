import { Injectable, Module } from '@nestjs/common';
import { firstValueFrom } from 'rxjs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  AppRegistration,
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { createApp, LogCollector } from './support.js';

afterEach(() => vi.unstubAllEnvs());

const answering = (name: string): Promise<number> =>
  serving(({ url }, response) => response.end(`${name} ${String(url)}`));

/** An app that calls STOCK, which a registry has at an address of its own. */
async function laptop(options: DiscoveryModuleOptions = {}) {
  const registry = new InMemoryRegistry();
  registry.addInstance('STOCK', { port: await answering('registry') });
  registry.addInstance('ORDERS', { port: await answering('orders') });
  const backend = registry.backend();
  @Injectable()
  class Shop {
    constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
  }
  @Module({
    providers: [Shop],
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, ...options })],
  })
  class LaptopModule {}
  const logger = new LogCollector();
  const app = await createApp(LaptopModule, { logger });
  await app.listen(0, '127.0.0.1');
  const { stock } = app.get(Shop);
  const get = async (url: string, client = stock): Promise<string> =>
    (await firstValueFrom(client.get<string>(url))).data;
  return { app, registry, logger, get, discovery: app.get(DiscoveryClient) };
}

describe('overrides', () => {
  test('are called whatever the registry says, and whatever is wanted of the service’s own instances', async () => {
    const port = await answering('mine');
    const { get, discovery, logger, registry } = await laptop({
      overrides: { STOCK: `http://127.0.0.1:${port}/api/`, LATER: [`http://127.0.0.1:${port}`] },
      http: { routing: { metadata: { version: '2' }, tags: ['prod'], lane: { fallback: 'none' } } },
    });
    expect(await get('/quote')).toBe('mine /api/quote');
    registry.addInstance('STOCK', { port: await answering('another') });
    for (let i = 0; i < 5; i += 1) expect(await get('/quote')).toBe('mine /api/quote');
    expect(await discovery.getInstances('STOCK')).toMatchObject([{ backend: 'overrides', port }]);
    expect(await discovery.getServices()).toEqual(['LATER', 'ORDERS', 'STOCK']);
    expect((await discovery.pick('LATER')).instance.port).toBe(port);
    expect(logger.lines.join('\n')).toContain(`this app calls STOCK at http://127.0.0.1:${port}, LATER at`);
  });

  test('of the environment win, and leave other services as they are', async () => {
    const port = await answering('mine');
    vi.stubEnv('DISCOVERY_OVERRIDES', ` STOCK=http://127.0.0.1:${port} ,`);
    const { app, get } = await laptop({ overrides: { STOCK: 'http://127.0.0.1:1' } });
    expect(await get('/')).toBe('mine /');
    expect(await get('lb://ORDERS/x', app.get(ServiceHttpClient))).toBe('orders /x');
  });

  test('of a service that nobody knows are told, with what may have been meant', async () => {
    const { logger } = await laptop({ overrides: { Orders: 'http://127.0.0.1:1', STOKC: 'http://127.0.0.1:1' } });
    await expect
      .poll(() => logger.lines.join('\n'))
      .toContain("overrides name 'Orders' (there is 'ORDERS'), 'STOKC', which no registry has");
  });

  test.each([
    ['STOCK', 'must look like STOCK='],
    ['=http://localhost:1', 'must look like STOCK='],
    ['STOCK=localhost', 'must be a URL'],
    ['STOCK=grpc://localhost', 'must have a port'],
    ['STOCK=http://u:secret@localhost:1', 'must have no user and no password'],
    ['STOCK=http://localhost:1/?a', 'must have no query'],
    ['../x=http://localhost:1', 'must not'],
  ])('that are wrong are an error that names them: %s', async (text, message) => {
    vi.stubEnv('DISCOVERY_OVERRIDES', text);
    const failed = await laptop().catch((error: unknown) => error);
    expect(failed).toMatchObject({ field: 'DISCOVERY_OVERRIDES', message: expect.stringContaining(message) });
    expect(String(failed)).not.toContain('secret');
  });

  test('are refused in production, unless they are asked for', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    const overrides = { STOCK: `http://127.0.0.1:${await answering('mine')}` };
    await expect(laptop({ overrides })).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'overrides' });
    const { get } = await laptop({ overrides, discovery: { overridesInProduction: true } });
    expect(await get('/')).toBe('mine /');
    vi.stubEnv('DISCOVERY_OVERRIDES', 'STOCK=http://localhost:1');
    await expect(laptop()).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'DISCOVERY_OVERRIDES' });
  });
});

describe('DISCOVERY_REGISTER=false', () => {
  test('finds the others and isn’t found', async () => {
    vi.stubEnv('DISCOVERY_REGISTER', 'false');
    const { app, get, registry } = await laptop({ service: { name: 'LAPTOP' } });
    expect(await get('/')).toBe('registry /');
    expect(app.get(AppRegistration).lease).toBeUndefined();
    await expect(app.get(AppRegistration).register()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(registry.instancesOf('LAPTOP')).toEqual([]);
  });

  test('is refused in production, and so is what is neither true nor false', async () => {
    vi.stubEnv('DISCOVERY_REGISTER', 'no');
    await expect(laptop()).rejects.toMatchObject({ field: 'DISCOVERY_REGISTER' });
    vi.stubEnv('DISCOVERY_REGISTER', 'false');
    vi.stubEnv('NODE_ENV', 'production');
    await expect(laptop()).rejects.toMatchObject({ field: 'DISCOVERY_REGISTER' });
  });
});
