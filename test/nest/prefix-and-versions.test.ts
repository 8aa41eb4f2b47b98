import {
  Controller,
  Get,
  Injectable,
  Module,
  Param,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
  type INestApplication,
  type Type,
  type VersioningOptions,
} from '@nestjs/common';
import { firstValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import {
  DiscoverableClient,
  DiscoveryModule,
  HttpServiceClient,
  ImplementsClient,
  remote,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createOn, init, registered, type Platform } from './support.js';

@Controller()
class QuoteController {
  @Get('quote') quote(): string {
    return 'quote';
  }
}

@Injectable()
class Shop {
  constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
}

interface Sides {
  readonly registry: InMemoryRegistry;
  readonly caller: INestApplication;
}

async function sides(
  platform: Platform,
  controllers: Type[],
  prepare: (app: INestApplication) => void,
  options: DiscoveryModuleOptions = {},
): Promise<Sides> {
  const registry = new InMemoryRegistry();
  const module = (more: DiscoveryModuleOptions) => {
    const backend = registry.backend();
    return DiscoveryModule.forRoot({ registry: backend, config: backend, http: { timeoutMs: 5000 }, ...more });
  };
  @Module({ controllers, imports: [module({ service: { name: 'STOCK' }, ...options })] })
  class Serving {}
  const app = await createOn(platform, Serving);
  prepare(app);
  await app.listen(0, '127.0.0.1');
  await registered(app);
  const { http } = options;
  @Module({ providers: [Shop], imports: [module(http === undefined ? {} : { http })] })
  class Calling {}
  return { registry, caller: await init(Calling) };
}

const metadataOf = ({ registry }: Sides): unknown => registry.instancesOf('STOCK')[0]?.metadata;

describe.each<Platform>(['express', 'fastify'])('an app on %s', (platform) => {
  test('tells its global prefix by itself, so that callers reach it', async () => {
    const both = await sides(platform, [QuoteController], (app) => app.setGlobalPrefix('api/'));
    expect(metadataOf(both)).toEqual({ contextPath: '/api' });
    const { data } = await firstValueFrom(both.caller.get(Shop).stock.get('/quote'));
    expect(data).toBe('quote');
  });

  test('tells it in the metadata that its calls go by', async () => {
    const both = await sides(platform, [QuoteController], (app) => app.setGlobalPrefix('api'), {
      http: { basePathMetadata: 'base' },
    });
    expect(metadataOf(both)).toEqual({ base: '/api' });
    expect((await firstValueFrom(both.caller.get(Shop).stock.get('/quote'))).data).toBe('quote');
  });

  test('tells what it was given instead, and nothing without a prefix or with one that no caller can fill in', async () => {
    const prefixed = (app: INestApplication): unknown => app.setGlobalPrefix('api');
    const given = { service: { name: 'STOCK', metadata: { contextPath: '/outside' } } };
    expect(metadataOf(await sides(platform, [QuoteController], prefixed, given))).toEqual({ contextPath: '/outside' });
    expect(metadataOf(await sides(platform, [QuoteController], () => {}))).toEqual({});
    const filled = (app: INestApplication): unknown => app.setGlobalPrefix(':tenant');
    expect(metadataOf(await sides(platform, [QuoteController], filled))).toEqual({});
  });

  const WAYS: [string, VersioningOptions][] = [
    ['in the path', { type: VersioningType.URI, defaultVersion: '1' }],
    ['in the path, with a prefix of its own', { type: VersioningType.URI, prefix: 'version-', defaultVersion: '1' }],
    ['in the path, without a prefix', { type: VersioningType.URI, prefix: false, defaultVersion: '1' }],
    ['in a header', { type: VersioningType.HEADER, header: 'x-api-version', defaultVersion: '1' }],
    ['in the media type', { type: VersioningType.MEDIA_TYPE, key: 'v=', defaultVersion: '1' }],
  ];

  test.each(WAYS)('is told the version %s, as the contract says', async (_, versioning) => {
    @HttpServiceClient('STOCK', { path: 'items', versioning })
    class ItemsApi {
      @Get(':id') one(@Param('id') _id: string): Promise<unknown> {
        return remote();
      }
      @Get(':id') @Version('2') second(@Param('id') _id: string): Promise<unknown> {
        return remote();
      }
      @Get('any/thing') @Version(VERSION_NEUTRAL) neutral(): Promise<unknown> {
        return remote();
      }
      @Get('both/versions') @Version(['2', '3']) several(): Promise<unknown> {
        return remote();
      }
    }
    @ImplementsClient(ItemsApi)
    class ItemsController implements ItemsApi {
      async one(id: string): Promise<unknown> {
        return { version: 1, id };
      }
      async second(id: string): Promise<unknown> {
        return { version: 2, id };
      }
      async neutral(): Promise<unknown> {
        return { version: 'neutral' };
      }
      async several(): Promise<unknown> {
        return { version: 'several' };
      }
    }
    const { caller } = await sides(platform, [ItemsController], (app) => {
      app.setGlobalPrefix('api');
      app.enableVersioning(versioning);
    });
    const items = caller.get(ItemsApi);
    expect(await items.one('a')).toEqual({ version: 1, id: 'a' });
    expect(await items.second('a')).toEqual({ version: 2, id: 'a' });
    expect(await items.neutral()).toEqual({ version: 'neutral' });
    expect(await items.several()).toEqual({ version: 'several' });
  });

  test('is told the version of the contract, in the path unless it says otherwise', async () => {
    @HttpServiceClient('STOCK', { path: 'things', version: '3' })
    class ThingsApi {
      @Get() all(): Promise<unknown> {
        return remote();
      }
    }
    @ImplementsClient(ThingsApi)
    class ThingsController implements ThingsApi {
      async all(): Promise<unknown> {
        return ['v3'];
      }
    }
    const { caller } = await sides(platform, [ThingsController], (app) => app.enableVersioning());
    expect(await caller.get(ThingsApi).all()).toEqual(['v3']);
  });
});

test('a contract whose version no caller can tell is refused', () => {
  class Api {
    @Get() all(): Promise<unknown> {
      return remote();
    }
  }
  const custom = { type: VersioningType.CUSTOM, extractor: () => '1' } as const;
  expect(() => HttpServiceClient('STOCK', { versioning: custom })(Api)).toThrow(/versioning/);
  expect(() => HttpServiceClient('STOCK', { versioning: { type: VersioningType.HEADER } as never })(Api)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field: 'versioning' }),
  );
  expect(() => HttpServiceClient('STOCK', { version: 1 as never })(Api)).toThrow(/version/);
});
