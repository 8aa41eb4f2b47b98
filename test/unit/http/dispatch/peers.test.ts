import { RemoteGraphQLDataSource } from '@apollo/gateway';
import { createClient as createHeyApiClient } from '@hey-api/client-fetch';
import { createTRPCClient, httpBatchLink } from '@trpc/client';
import { GraphQLClient } from 'graphql-request';
import ky from 'ky';
import createOpenApiClient from 'openapi-fetch';
import { describe, expect, test } from 'vitest';
import type { ServiceFetchFunction } from '../../../../lib/index.js';
import { serviceDispatcher } from '../../../../lib/integrations/fetch/index.js';
import { node, refusing, service, type Behaviour, type Service } from '../calls/support.js';

/** Answers GraphQL and tRPC as they want it, and anything else with what came. */
const behaviour: Behaviour = (request, response) => {
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    const { url = '', method } = request;
    response.setHeader('content-type', 'application/json');
    if (url.startsWith('/graphql')) response.end(JSON.stringify({ data: { left: 3 } }));
    else if (url.startsWith('/trpc')) response.end(JSON.stringify([{ result: { data: { left: 3 } } }]));
    else response.end(JSON.stringify({ url, method, body }));
  });
};

/** A service of two instances, of which one is down. */
async function stock(): Promise<Service> {
  return service([await refusing(), await node(behaviour)], {
    http: { balancing: ([first]) => first, ejection: false },
  });
}

/** Node's own, by our dispatcher. */
function dispatchedFetch({ runtime }: Service): ServiceFetchFunction {
  const dispatcher = serviceDispatcher(runtime.unboundClient());
  return (input, init) => fetch(input, { ...init, dispatcher } as object);
}

/** The ways in which a service may stand in a base URL. */
const bases: readonly (readonly [string, (stock: Service) => ServiceFetchFunction])[] = [
  ['http://STOCK', ({ client }) => client.fetch],
  ['lb://STOCK', ({ runtime }) => runtime.unboundClient().fetch],
  ['http://stock', dispatchedFetch],
];

describe.each(bases)('the fetch of a client, or by a dispatcher, at %s serves', (base, fetchOf) => {
  test('ky', async () => {
    const api = ky.create({ prefixUrl: `${base}/api`, fetch: fetchOf(await stock()) });
    expect(await api.post('things', { json: { a: 1 } }).json()).toEqual({
      url: '/api/things',
      method: 'POST',
      body: '{"a":1}',
    });
  });

  test('openapi-fetch', async () => {
    interface Paths {
      '/things/{id}': {
        put: {
          parameters: { path: { id: number } };
          requestBody: { content: { 'application/json': { a: number } } };
          responses: { 200: { content: { 'application/json': { url: string } } } };
        };
      };
    }
    const api = createOpenApiClient<Paths>({ baseUrl: base, fetch: fetchOf(await stock()) });
    const { data } = await api.PUT('/things/{id}', { params: { path: { id: 5 } }, body: { a: 1 } });
    expect(data).toEqual({ url: '/things/5', method: 'PUT', body: '{"a":1}' });
  });

  test('hey-api', async () => {
    const api = createHeyApiClient({ baseUrl: base, fetch: fetchOf(await stock()) });
    expect((await api.get({ url: '/things', query: { a: 1 } })).data).toMatchObject({
      url: '/things?a=1',
      method: 'GET',
    });
  });

  test('graphql-request', async () => {
    const api = new GraphQLClient(`${base}/graphql`, { fetch: fetchOf(await stock()) });
    expect(await api.request('{ left }')).toEqual({ left: 3 });
  });

  test('tRPC', async () => {
    const url = `${base}/trpc`;
    // With exactOptionalPropertyTypes its types take no fetch at all, Node's own neither.
    const api = createTRPCClient({ links: [httpBatchLink({ url, fetch: fetchOf(await stock()) as never })] });
    const stockApi = (api as unknown as { stock: { query(): Promise<unknown> } }).stock;
    expect(await stockApi.query()).toEqual({ left: 3 });
  });

  test('Apollo’s gateway', async () => {
    const source = new RemoteGraphQLDataSource({ url: `${base}/graphql`, fetcher: fetchOf(await stock()) });
    const { data } = await source.process({ request: { query: '{ left }' }, context: {} } as never);
    expect(data).toEqual({ left: 3 });
  });
});
