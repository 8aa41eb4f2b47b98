import { Controller, Get, Module, type INestApplication } from '@nestjs/common';
import { firstValueFrom, forkJoin, map } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { createOn, portOf, type Platform } from './support.js';

@Controller()
class GatewayController {
  constructor(@DiscoverableClient('STOCK') private readonly stock: ServiceHttpClient) {
    stock.axiosRef.defaults.headers.common['x-api-key'] = 'secret-key';
  }

  @Get('observable') observable(): unknown {
    return this.stock.get('/json');
  }

  @Get('promise') promise(): unknown {
    return this.stock.axiosRef.get('/json');
  }

  @Get('text') text(): unknown {
    return this.stock.get('/text');
  }

  @Get('nothing') nothing(): unknown {
    return this.stock.get('/nothing');
  }

  @Get('list') list(): unknown {
    return forkJoin([this.stock.get('/json'), this.stock.get('/text')]);
  }

  @Get('property') async property(): Promise<unknown> {
    return { greeting: 'hello', stock: await firstValueFrom(this.stock.get('/json')) };
  }

  @Get('stream') stream(): unknown {
    return this.stock.get('/text', { responseType: 'stream' });
  }

  @Get('bytes') bytes(): unknown {
    return this.stock.get('/text', { responseType: 'arraybuffer' });
  }

  @Get('data') data(): unknown {
    return this.stock.get('/json').pipe(map(({ data }): unknown => data));
  }

  @Get('alike') alike(): unknown {
    return { config: {}, headers: {}, data: 1, status: 200 };
  }
}

async function gateway(platform: Platform, transport: 'undici' | 'axios'): Promise<INestApplication> {
  const registry = new InMemoryRegistry();
  const port = await serving(({ url }, response) => {
    if (url === '/nothing') return void response.writeHead(204).end();
    response.setHeader('content-type', url === '/text' ? 'text/plain; charset=utf-8' : 'application/json');
    response.end(url === '/text' ? 'grüße' : '{"left":3}');
  });
  registry.addInstance('STOCK', { host: '127.0.0.1', port });
  const backend = registry.backend();
  @Module({
    controllers: [GatewayController],
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, transport })],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule);
  await app.listen(0, '127.0.0.1');
  return app;
}

describe.each<[Platform, 'undici' | 'axios']>([
  ['express', 'undici'],
  ['express', 'axios'],
  ['fastify', 'undici'],
  ['fastify', 'axios'],
])('a controller that returns the response of a call, on %s by %s', (platform, transport) => {
  test('answers with its data, and with nothing of the request', async () => {
    const app = await gateway(platform, transport);
    const ask = async (path: string): Promise<{ status: number; type: string | null; body: string }> => {
      const response = await fetch(`http://127.0.0.1:${portOf(app)}/${path}`);
      return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
    };
    for (const path of ['observable', 'promise', 'data']) {
      expect(await ask(path), path).toMatchObject({ status: 200, body: '{"left":3}' });
    }
    expect(await ask('text')).toMatchObject({ status: 200, body: 'grüße' });
    expect(await ask('nothing')).toMatchObject({ status: 200, body: '' });
    expect(await ask('list')).toMatchObject({ status: 200, body: '[{"left":3},"grüße"]' });
    expect(await ask('property')).toMatchObject({ status: 200, body: '{"greeting":"hello","stock":{"left":3}}' });
    for (const path of ['stream', 'bytes']) {
      expect(await ask(path), path).toEqual({ status: 200, type: 'text/plain; charset=utf-8', body: 'grüße' });
    }
    expect(JSON.parse((await ask('alike')).body)).toEqual({ config: {}, headers: {}, data: 1, status: 200 });
  });
});
