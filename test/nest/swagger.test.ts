import { Body, Controller, Get, Module, Param, ParseIntPipe, Post, Query, type Type } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiOperation,
  ApiProperty,
  ApiQuery,
  DocumentBuilder,
  SwaggerModule,
  type OpenAPIObject,
} from '@nestjs/swagger';
import { expect, test } from 'vitest';
import { DiscoveryModule, HttpServiceClient, ImplementsClient, remote } from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createOn } from './support.js';

class NewOrder {
  @ApiProperty() item!: string;
  @ApiProperty({ required: false }) note?: string;
}

class Order extends NewOrder {
  @ApiProperty() id!: number;
}

@HttpServiceClient('ORDERS', { path: 'orders' })
class OrdersApi {
  @Get(':id')
  @ApiQuery({ name: 'note', required: false })
  get(@Param('id', ParseIntPipe) id: number, @Query('note') note?: string): Promise<Order> {
    return remote(id, note);
  }

  @Get()
  @ApiOperation({ summary: 'Those that somebody looks for' })
  @ApiQuery({ name: 'state', enum: ['open', 'sent'], required: false, isArray: true })
  list(@Query('text') text: string, @Query('state') state?: string[]): Promise<Order[]> {
    return remote(text, state);
  }

  @Post()
  @ApiCreatedResponse({ type: Order })
  create(@Body() order: NewOrder): Promise<Order> {
    return remote(order);
  }
}

@ImplementsClient(OrdersApi)
class OrdersController implements OrdersApi {
  async get(id: number, note?: string): Promise<Order> {
    return { id, item: 'tea', ...(note === undefined ? {} : { note }) };
  }

  async list(): Promise<Order[]> {
    return [];
  }

  async create(order: NewOrder): Promise<Order> {
    return { id: 1, ...order };
  }
}

/** The same routes as one writes them without a contract. */
@Controller('orders')
class PlainController {
  @Get(':id')
  @ApiQuery({ name: 'note', required: false })
  async get(@Param('id', ParseIntPipe) id: number, @Query('note') _note?: string): Promise<Order> {
    return { id, item: 'tea' };
  }

  @Get()
  @ApiOperation({ summary: 'Those that somebody looks for' })
  @ApiQuery({ name: 'state', enum: ['open', 'sent'], required: false, isArray: true })
  async list(@Query('text') _text: string, @Query('state') _state?: string[]): Promise<Order[]> {
    return [];
  }

  @Post()
  @ApiCreatedResponse({ type: Order })
  async create(@Body() order: NewOrder): Promise<Order> {
    return { id: 1, ...order };
  }
}

async function documentOf(controller: Type): Promise<OpenAPIObject> {
  const backend = new InMemoryRegistry().backend();
  @Module({
    controllers: [controller],
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })],
  })
  class AppModule {}
  const app = await createOn('express', AppModule);
  const builder = new DocumentBuilder().setTitle('Orders').build();
  const document = SwaggerModule.createDocument(app, builder, { operationIdFactory: (_controller, method) => method });
  await app.close();
  return document;
}

/** Tags are of the controller's name. */
const withoutTags = ({ paths, components }: OpenAPIObject): unknown =>
  JSON.parse(JSON.stringify({ paths, components }, (key, value: unknown) => (key === 'tags' ? undefined : value)));

test('swagger shows the routes of a contract as those of a plain controller, an optional query as optional', async () => {
  const document = await documentOf(OrdersController);
  expect(withoutTags(document)).toEqual(withoutTags(await documentOf(PlainController)));
  expect(document.paths['/orders/{id}']?.get?.parameters).toEqual([
    { name: 'id', in: 'path', required: true, schema: { type: 'number' } },
    { name: 'note', in: 'query', required: false, schema: { type: 'string' } },
  ]);
});
