import type { ServerResponse } from 'node:http';
import {
  Controller,
  Get,
  Injectable,
  Module,
  NotFoundException,
  Res,
  UseGuards,
  type ArgumentsHost,
  type CanActivate,
  type INestApplication,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AxiosError } from 'axios';
import { firstValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import {
  DiscoverableClient,
  DiscoveryError,
  DiscoveryExceptionFilter,
  DiscoveryModule,
  ServiceHttpClient,
  type DiscoveryExceptionFilterOptions,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { servers, serving } from './plain-servers.js';
import { createOn, LogCollector, portOf, type Platform } from './support.js';

async function refusing(): Promise<number> {
  const port = await serving(() => {});
  await new Promise((resolve) => servers.pop()?.close(resolve));
  return port;
}

@Injectable()
class AskingGuard implements CanActivate {
  constructor(@DiscoverableClient('STOCK') private readonly stock: ServiceHttpClient) {}

  async canActivate(): Promise<boolean> {
    await firstValueFrom(this.stock.get('/500'));
    return true;
  }
}

@Controller()
class GatewayController {
  constructor(
    @DiscoverableClient('STOCK', { timeoutMs: 100 }) private readonly stock: ServiceHttpClient,
    private readonly unbound: ServiceHttpClient,
  ) {
    stock.axiosRef.defaults.headers.common['x-api-key'] = 'secret-key';
  }

  private call(path: string, config = {}): unknown {
    return this.stock.get(`${path}?token=secret-query`, config);
  }

  @Get('nobody') nobody(): unknown {
    return this.unbound.get('lb://NOBODY/x');
  }

  @Get('dead') dead(): unknown {
    return this.unbound.get('lb://DEAD/x');
  }

  @Get('slow') slow(): unknown {
    return this.call('/slow');
  }

  @Get('broken') broken(): unknown {
    return this.call('/broken');
  }

  @Get('500') internal(): unknown {
    return this.call('/500');
  }

  @Get('404') missing(): unknown {
    return this.call('/404');
  }

  @Get('429') tooMany(): unknown {
    return this.call('/429');
  }

  @Get('404-stream') missingStream(): unknown {
    return this.call('/404', { responseType: 'stream' });
  }

  @Get('guarded') @UseGuards(AskingGuard) guarded(): string {
    return 'never';
  }

  @Get('own') own(): unknown {
    throw new NotFoundException('own');
  }

  @Get('begun') async begun(@Res() response: { raw?: ServerResponse }): Promise<void> {
    const raw = response.raw ?? (response as unknown as ServerResponse);
    raw.writeHead(200, { 'content-length': '100' });
    raw.write('begun');
    await firstValueFrom(this.stock.get('/500'));
  }
}

async function gateway(
  platform: Platform,
  logger: LogCollector,
  options?: DiscoveryExceptionFilterOptions,
): Promise<INestApplication> {
  const registry = new InMemoryRegistry();
  const port = await serving(({ url = '' }, response) => {
    const path = url.replace(/\?.*/, '');
    response.setHeader('set-cookie', 'upstream=1');
    if (path === '/slow') return;
    if (path === '/broken') return void response.destroy();
    if (path === '/429') {
      response.writeHead(429, { 'retry-after': '7', 'content-type': 'text/plain; charset=utf-8' }).end('slow down <b>');
    } else {
      response.writeHead(Number(path.slice(1)), { 'content-type': 'application/json' }).end('{"detail":"of upstream"}');
    }
  });
  registry.addInstance('STOCK', { host: '127.0.0.1', port });
  registry.addInstance('DEAD', { host: '127.0.0.1', port: await refusing() });
  const backend = registry.backend();
  @Module({
    controllers: [GatewayController],
    providers: options === undefined ? [{ provide: APP_FILTER, useClass: DiscoveryExceptionFilter }] : [],
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule, logger);
  if (options !== undefined) app.useGlobalFilters(new DiscoveryExceptionFilter(options));
  await app.listen(0, '127.0.0.1');
  return app;
}

const asker =
  (app: INestApplication) =>
  async (path: string): Promise<{ status: number; body: unknown; headers: Headers }> => {
    const response = await fetch(`http://127.0.0.1:${portOf(app)}/${path}?password=secret-own`, {
      headers: { authorization: 'secret-auth' },
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text, headers: response.headers };
  };

describe.each<Platform>(['express', 'fastify'])('DiscoveryExceptionFilter on %s', (platform) => {
  test('says by its status what kind of trouble it is, and nothing else', async () => {
    const logger = new LogCollector();
    const ask = asker(await gateway(platform, logger));
    const nobody = await ask('nobody');
    expect(nobody).toMatchObject({ status: 503, body: { statusCode: 503, message: 'Service Unavailable' } });
    expect(nobody.headers.get('retry-after')).toBe('5');
    for (const path of ['dead', 'broken', '500', '404', 'guarded']) {
      expect(await ask(path), path).toMatchObject({ status: 502, body: { statusCode: 502, message: 'Bad Gateway' } });
    }
    expect(await ask('slow')).toMatchObject({ status: 504, body: { statusCode: 504, message: 'Gateway Timeout' } });
    expect(await ask('own')).toMatchObject({ status: 404, body: { message: 'own' } });
    const lines = logger.lines.filter((line) => line.startsWith('error'));
    expect(lines).toHaveLength(7);
    expect(lines[0]).toMatch(/^error GET \/nobody: NOBODY has no instance/);
    expect(lines[3]).toBe('error GET /500: Request failed with status code 500 (GET lb://STOCK/500)');
    expect(lines.join('\n')).not.toMatch(/secret/);
  });

  test('passes a 4xx on when it is asked to: status, body and what belongs to it', async () => {
    const logger = new LogCollector();
    const ask = asker(await gateway(platform, logger, { passOn4xx: true, retryAfterSeconds: 60 }));
    const missing = await ask('404');
    expect(missing).toMatchObject({ status: 404, body: { detail: 'of upstream' } });
    expect(missing.headers.get('set-cookie')).toBeNull();
    const tooMany = await ask('429');
    expect(tooMany).toMatchObject({ status: 429, body: 'slow down <b>' });
    expect(tooMany.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(tooMany.headers.get('retry-after')).toBe('7');
    expect(await ask('404-stream')).toMatchObject({ status: 404, body: { message: 'Not Found' } });
    expect(await ask('500')).toMatchObject({ status: 502 });
    expect((await ask('nobody')).headers.get('retry-after')).toBe('60');
  });

  test('an answer that has begun is broken off', async () => {
    const app = await gateway(platform, new LogCollector());
    await expect(fetch(`http://127.0.0.1:${portOf(app)}/begun`).then((response) => response.text())).rejects.toThrow();
  });
});

test('other contexts than HTTP are left to Nest', () => {
  const filter = new DiscoveryExceptionFilter();
  const told: unknown[] = [];
  const host = (type: string) =>
    ({
      getType: () => type,
      switchToWs: () => ({ getClient: () => ({ emit: (...event: unknown[]) => told.push(event) }) }),
    }) as unknown as ArgumentsHost;
  const error = new AxiosError('x');
  expect(filter.catch(error, host('rpc'))).toBeUndefined();
  expect(filter.catch(error, host('graphql'))).toBeUndefined();
  expect(told).toEqual([]);
  filter.catch(error, host('ws'));
  expect(told).toEqual([['exception', { status: 'error', message: 'Internal server error' }]]);
});

test('wrong options are refused', () => {
  expect(() => new DiscoveryExceptionFilter({ passOn4XX: true } as never)).toThrow(DiscoveryError);
  expect(() => new DiscoveryExceptionFilter({ retryAfterSeconds: -1 })).toThrow(/retryAfterSeconds/);
});
