import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Injectable,
  Module,
  Param,
  ParseIntPipe,
  Post,
  Query,
  type Type,
} from '@nestjs/common';
import { firstValueFrom, Observable } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { DiscoveryModule, HttpServiceClient, ImplementsClient, remote, ValidateResponse } from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { init, listen } from './support.js';

interface Order {
  readonly id: number;
  readonly note?: string | undefined;
}

@HttpServiceClient('ORDERS', { path: 'orders' })
class OrdersApi {
  @Get(':id')
  get(@Param('id', ParseIntPipe) _id: number, @Query('note') _note?: string): Promise<Order> {
    return remote();
  }

  @Get()
  list(@Query() _query: Record<string, string>, @Headers('x-tenant') _tenant: string): Observable<unknown> {
    return remote();
  }

  @Post()
  @HttpCode(202)
  create(@Body() _order: { note: string }): Promise<unknown> {
    return remote();
  }

  @Delete(':id/lines/:line')
  remove(@Param() _ids: { id: string; line: string }): Promise<unknown> {
    return remote();
  }

  @Get('broken/answer')
  @ValidateResponse(z.object({ id: z.number() }))
  broken(): Promise<Order> {
    return remote();
  }
}

@ImplementsClient(OrdersApi)
class OrdersController implements OrdersApi {
  async get(id: number, note?: string): Promise<Order> {
    return { id, note };
  }

  list(query: Record<string, string>, tenant: string): Observable<unknown> {
    return new Observable((subscriber) => {
      subscriber.next({ query, tenant });
      subscriber.complete();
    });
  }

  async create(order: { note: string }): Promise<unknown> {
    return { created: order };
  }

  async remove(ids: { id: string; line: string }): Promise<unknown> {
    return ids;
  }

  async broken(): Promise<Order> {
    return { id: 'not a number' } as unknown as Order;
  }
}

@Injectable()
class Shop {
  constructor(readonly orders: OrdersApi) {}
}

async function setUp(): Promise<OrdersApi> {
  const registry = new InMemoryRegistry();
  const root = (controllers: Type[], providers: Type[], service?: string): Type => {
    const backend = registry.backend();
    @Module({
      controllers,
      providers,
      imports: [
        DiscoveryModule.forRoot({
          registry: backend,
          config: backend,
          ...(service === undefined ? {} : { service: { name: service } }),
        }),
      ],
    })
    class Root {}
    return Root;
  };
  await listen(root([OrdersController], [], 'ORDERS'));
  await expect.poll(() => registry.instancesOf('ORDERS').length).toBe(1);
  return (await init(root([], [Shop]))).get(Shop).orders;
}

describe('a declarative client', () => {
  test('is the contract of both sides: paths, parameters, queries, headers, bodies, pipes, Promises and Observables', async () => {
    const orders = await setUp();
    expect(orders).toBeInstanceOf(OrdersApi);
    expect(await orders.get(5)).toEqual({ id: 5 });
    expect(await orders.get(6, 'a b&c')).toEqual({ id: 6, note: 'a b&c' });
    expect(await firstValueFrom(orders.list({ page: '2' }, 'acme'))).toEqual({ query: { page: '2' }, tenant: 'acme' });
    expect(await orders.create({ note: 'x' })).toEqual({ created: { note: 'x' } });
    expect(await orders.remove({ id: 'a/b', line: '..c' })).toEqual({ id: 'a/b', line: '..c' });
    // The pipe of the contract works on the serving side.
    await expect(orders.get('x' as never)).rejects.toMatchObject({ response: { status: 400 } });
  });

  test('a path parameter that is missing, and an answer that does not fit, are errors that name them', async () => {
    const orders = await setUp();
    await expect(orders.get(undefined as never)).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'id' });
    await expect(orders.remove({ id: '..', line: '1' })).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'id' });
    await expect(orders.broken()).rejects.toMatchObject({
      code: 'INVALID_RESPONSE',
      service: 'ORDERS',
      field: 'broken',
    });
  });

  test('misuse is an error where it is written', () => {
    class Empty {}
    expect(() => HttpServiceClient('ORDERS')(Empty)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(() => HttpServiceClient('ORDERS', { paths: 'x' } as never)).toThrow(
      expect.objectContaining({ field: 'paths' }),
    );
    @Controller()
    class Half {
      get(): void {}
    }
    expect(() => ImplementsClient(OrdersApi)(Half)).toThrow(/the method list is missing/);
    expect(() => ImplementsClient(Empty)(Half)).toThrow(/no @HttpServiceClient/);
    expect(() => new OrdersApi().get(1)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
  });
});
