import {
  Body,
  Get,
  Headers,
  Module,
  Param,
  ParseBoolPipe,
  ParseIntPipe,
  Post,
  Query,
  type INestApplication,
  type PipeTransform,
} from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import { DiscoveryModule, HttpServiceClient, ImplementsClient, remote } from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createOn, init, portOf, registered, type Platform } from './support.js';

/** Takes `1,2` as well, as Nest's ParseArrayPipe does. */
const NUMBERS: PipeTransform = {
  transform: (value: unknown) => (typeof value === 'string' ? value.split(',') : (value as string[])).map(Number),
};

/** Answers what arrived. */
@HttpServiceClient('STOCK')
class EchoApi {
  @Get('tags') tags(@Query('tags') _tags: string[], @Query('page', ParseIntPipe) _page: number): Promise<unknown> {
    return remote();
  }
  @Get('scalars') scalars(
    @Query('since') _since?: Date | string,
    @Query('deep', new ParseBoolPipe({ optional: true })) _deep?: boolean,
    @Query('size') _size?: number | bigint,
    @Query('none') _none?: string | null,
  ): Promise<unknown> {
    return remote();
  }
  @Get('ids') ids(@Query('ids', NUMBERS) _ids?: number[]): Promise<unknown> {
    return remote();
  }
  @Get('whole') whole(@Query() _query: Record<string, unknown>): Promise<unknown> {
    return remote();
  }
  @Get('headers') headers(@Headers('x-count') _count: unknown): Promise<unknown> {
    return remote();
  }
  @Get('at/:when') at(@Param('when') _when: Date | string): Promise<unknown> {
    return remote();
  }
  @Post('body') body(@Body() _body: unknown): Promise<unknown> {
    return remote();
  }
  @Post('fields') fields(@Body('a') _a: unknown, @Body('b') _b?: unknown): Promise<unknown> {
    return remote();
  }
}

@ImplementsClient(EchoApi)
class EchoController implements EchoApi {
  async tags(tags: string[], page: number): Promise<unknown> {
    return { tags, page };
  }
  async scalars(since?: unknown, deep?: boolean, size?: unknown, none?: unknown): Promise<unknown> {
    return { since, deep, size, none: none === undefined ? 'undefined' : none };
  }
  async ids(ids?: number[]): Promise<unknown> {
    return { ids };
  }
  async whole(query: Record<string, unknown>): Promise<unknown> {
    return { ...query };
  }
  async headers(count: unknown): Promise<unknown> {
    return { count };
  }
  async at(when: unknown): Promise<unknown> {
    return { when };
  }
  async body(body: unknown): Promise<unknown> {
    return { body };
  }
  async fields(a: unknown, b?: unknown): Promise<unknown> {
    return { a, b };
  }
}

async function sides(platform: Platform): Promise<{ serving: INestApplication; echo: EchoApi }> {
  const registry = new InMemoryRegistry();
  const module = (service?: string) => {
    const backend = registry.backend();
    const named = service === undefined ? {} : { service: { name: service } };
    return DiscoveryModule.forRoot({ registry: backend, config: backend, ...named });
  };
  @Module({ controllers: [EchoController], imports: [module('STOCK')] })
  class Serving {}
  const serving = await createOn(platform, Serving);
  await serving.listen(0, '127.0.0.1');
  await registered(serving);
  @Module({ imports: [module()] })
  class Calling {}
  return { serving, echo: (await init(Calling)).get(EchoApi) };
}

describe.each<Platform>(['express', 'fastify'])('what a declarative client sends to %s', (platform) => {
  test('arrives as a controller’s own parameters take it', async () => {
    const { echo } = await sides(platform);
    for (const tags of [['a', 'b'], ['a'], ['a,b', 'c&d=[e]']]) {
      expect(await echo.tags(tags, 2)).toEqual({ tags, page: 2 });
    }
    const since = new Date(0);
    expect(await echo.scalars(since, false, 5)).toEqual({
      since: since.toISOString(),
      deep: false,
      size: '5',
      none: 'undefined',
    });
    expect(await echo.scalars(undefined, true, 10n, null)).toEqual({ deep: true, size: '10', none: 'undefined' });
    expect(await echo.ids([1, 2])).toEqual({ ids: [1, 2] });
    expect(await echo.ids([1])).toEqual({ ids: [1] });
    expect(await echo.whole({ a: 1, list: ['x', 'y'], none: undefined })).toEqual({ a: '1', list: ['x', 'y'] });
    expect(await echo.headers(3)).toEqual({ count: '3' });
    expect(await echo.at(since)).toEqual({ when: since.toISOString() });
  });

  test('a body arrives as what it was, a text too', async () => {
    const { echo, serving } = await sides(platform);
    for (const body of ['a text', '', 'a=b&c=d', '{"json":1}', 'grüße\n', { a: [1, null] }, ['a', 1]]) {
      expect(await echo.body(body)).toEqual({ body });
    }
    expect(await echo.body('x'.repeat(200_000))).toEqual({ body: 'x'.repeat(200_000) });
    expect(await echo.fields('text', [1])).toEqual({ a: 'text', b: [1] });
    expect(await echo.fields(null)).toEqual({ a: null });
    const post = (body: string, type: string) =>
      fetch(`http://127.0.0.1:${portOf(serving)}/body`, { method: 'POST', body, headers: { 'content-type': type } });
    expect((await post('x'.repeat(1_100_000), 'text/plain')).status).toBe(413);
    expect(await (await post('{"a":1}', 'application/json')).json()).toEqual({ body: { a: 1 } });
  });

  test('what could not arrive is refused, naming the parameter', async () => {
    const { echo } = await sides(platform);
    const refused = (field: string) => ({ code: 'INVALID_OPTION', field });
    await expect(echo.tags([{ a: 1 }] as never, 1)).rejects.toMatchObject(refused('tags'));
    await expect(echo.tags(['a', undefined] as never, 1)).rejects.toMatchObject(refused('tags'));
    await expect(echo.tags([['a']] as never, 1)).rejects.toMatchObject(refused('tags'));
    await expect(echo.tags(['a'], Number.NaN)).rejects.toMatchObject(refused('page'));
    await expect(echo.scalars(new Date(Number.NaN))).rejects.toMatchObject(refused('since'));
    await expect(echo.scalars({ a: 1 } as never)).rejects.toThrow(
      "STOCK.scalars: the query parameter 'since' can't be a object",
    );
    await expect(echo.whole({ filter: { a: 1 } })).rejects.toMatchObject(refused('filter'));
    await expect(echo.whole('a=1' as never)).rejects.toMatchObject(refused('query'));
    await expect(echo.whole(new Map([['a', 1]]) as never)).rejects.toMatchObject(refused('query'));
    await expect(echo.headers(['a', 'b'])).rejects.toMatchObject(refused('x-count'));
    for (const body of [5, true, null, new Date(0), new Map()]) {
      await expect(echo.body(body), String(body)).rejects.toMatchObject(refused('body'));
    }
  });
});
