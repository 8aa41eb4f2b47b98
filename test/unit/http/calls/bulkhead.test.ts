import type { Readable } from 'node:stream';
import { circuitBreaker, ConsecutiveBreaker, handleAll, retry, timeout, TimeoutStrategy } from 'cockatiel';
import { request } from 'undici';
import { describe, expect, test } from 'vitest';
import { firstValueFrom } from 'rxjs';
import { serviceDispatcher } from '../../../../lib/integrations/fetch/index.js';
import type { CallOptions, CallPolicy } from '../../../../lib/index.js';
import { answer, node, nodes, reset, seen, service, type Behaviour, type Service } from './support.js';

/** Answers only when it is told to. */
function held() {
  const waiting: (() => void)[] = [];
  const behaviour: Behaviour = (request, response) => {
    waiting.push(() => answer(request, response));
  };
  return { behaviour, waiting, release: () => waiting.splice(0).forEach((go) => go()) };
}

const get = async ({ client }: Service): Promise<unknown> => (await firstValueFrom(client.get('/'))).data;
const fetched = async ({ client }: Service): Promise<unknown> => (await client.fetch('/')).json();
const dispatched = async ({ client }: Service): Promise<unknown> =>
  (await request('http://stock/', { dispatcher: serviceDispatcher(client) })).body.json();

const ways = [
  ['a call', get],
  ['fetch', fetched],
  ['a dispatcher', dispatched],
] as const;

describe.each(ways)('a bulkhead around %s', (_, call) => {
  test('lets so many through, so many wait, and refuses the rest at once', async () => {
    const { behaviour, waiting, release } = held();
    const slow = await node(behaviour);
    const stock = await service([slow], { http: { bulkhead: { maxCalls: 2, maxQueue: 1 } } });
    const calls = Array.from({ length: 3 }, () => call(stock));
    await expect.poll(() => waiting.length).toBe(2);
    const refused = await call(stock).catch((error: unknown) => error);
    const told = {
      code: 'BULKHEAD_FULL',
      service: 'STOCK',
      message: expect.stringContaining('no more than 2 calls at a time'),
    };
    expect((refused as Error).message === 'fetch failed' ? (refused as Error).cause : refused).toMatchObject(told);
    release();
    await expect.poll(() => waiting.length).toBe(1);
    release();
    expect(await Promise.all(calls)).toHaveLength(3);
    expect(seen(slow)).toEqual([3]);
    slow.behaviour = reset;
    for (let i = 0; i < 5; i += 1) await expect(call(stock)).rejects.toThrow();
    slow.behaviour = answer;
    expect(await call(stock)).toEqual({ port: slow.port });
  });

  test('waits no longer than the call may take', async () => {
    const { behaviour, waiting } = held();
    const stock = await service([await node(behaviour)], {
      http: { bulkhead: { maxCalls: 1, maxQueue: 1 }, timeoutMs: 300 },
    });
    const first = call(stock).catch((error: unknown) => error);
    await expect.poll(() => waiting.length).toBe(1);
    const second = call(stock).catch((error: unknown) => error);
    for (const failed of await Promise.all([first, second])) expect(failed).toBeInstanceOf(Error);
    expect(stock.client.instanceStats()).toMatchObject([{ pending: 0 }]);
  });
});

test('a bulkhead is one for all clients of the service that ask for the same', async () => {
  const { behaviour, waiting, release } = held();
  const stock = await service([await node(behaviour)], { http: { bulkhead: { maxCalls: 1 } } });
  const first = get(stock);
  await expect.poll(() => waiting.length).toBe(1);
  await expect(stock.runtime.unboundClient().axiosRef.get('lb://STOCK/')).rejects.toMatchObject({
    code: 'BULKHEAD_FULL',
  });
  release();
  await first;
});

test('who gives up while he waits leaves his place to others', async () => {
  const { behaviour, waiting, release } = held();
  const slow = await node(behaviour);
  const stock = await service([slow], { http: { bulkhead: { maxCalls: 1, maxQueue: 1 } } });
  const first = get(stock);
  await expect.poll(() => waiting.length).toBe(1);
  const controller = new AbortController();
  const second = firstValueFrom(stock.client.get('/', { signal: controller.signal }));
  controller.abort();
  await expect(second).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  const third = get(stock);
  release();
  await expect.poll(() => waiting.length).toBe(1);
  release();
  await Promise.all([first, third]);
});

describe.each(ways)('a policy around %s', (way, call) => {
  const breaking = (): CallPolicy =>
    circuitBreaker(handleAll, { halfOpenAfter: 60_000, breaker: new ConsecutiveBreaker(2) });

  test('counts whole calls, retries included, and refuses without a call', async () => {
    const members = await nodes(3, reset);
    const stock = await service(members, { http: { policy: breaking(), ejection: false } });
    for (let i = 0; i < 2; i += 1) await expect(call(stock)).rejects.toThrow();
    expect(seen(...members)).toEqual([2, 2, 2]);
    await expect(call(stock)).rejects.toThrow('Execution prevented because the circuit breaker is open');
    expect(seen(...members)).toEqual([0, 0, 0]);
  });

  test('ends a call by its signal', async () => {
    const policy = timeout(200, TimeoutStrategy.Aggressive);
    const silent = await node(() => {});
    const stock = await service([silent], { http: { policy } });
    await expect(call(stock)).rejects.toMatchObject({ message: expect.stringContaining('timed out after 200ms') });
    if (way !== 'a dispatcher') await expect.poll(() => stock.client.instanceStats()[0]?.pending).toBe(0);
  });

  test('may repeat a call of which nothing was heard', async () => {
    const member = await node(reset);
    member.behaviour = (request, response) => (member.hits < 3 ? reset : answer)(request, response);
    const stock = await service([member], { http: { policy: retry(handleAll, { maxAttempts: 5 }), ejection: false } });
    expect(await call(stock)).toEqual({ port: member.port });
  });
});

test('what a policy throws is a fallback’s too', async () => {
  const policy: CallPolicy = { execute: () => Promise.reject(new Error('refused')) };
  const options: CallOptions = { policy, fallback: (error) => (error as Error).message };
  const stock = await service(await nodes(1), { http: options });
  expect(await get(stock)).toBe('refused');
});

test('a stream is ended by its caller’s signal, whatever ran the call', async () => {
  const endless = await node((_request, response) => void response.write('begun'));
  const stock = await service([endless], { http: { bulkhead: { maxCalls: 1 } } });
  const controller = new AbortController();
  const { data } = await stock.client.axiosRef.get<Readable>('/', {
    responseType: 'stream',
    signal: controller.signal,
  });
  controller.abort();
  await expect(data.toArray()).rejects.toMatchObject({ code: 'ERR_CANCELED' });
});

test.each([
  [{ bulkhead: {} }, 'http.bulkhead.maxCalls'],
  [{ bulkhead: { maxCalls: 0 } }, 'http.bulkhead.maxCalls'],
  [{ bulkhead: { maxCalls: 1, queue: 1 } }, 'http.bulkhead.queue'],
  [{ policy: {} }, 'http.policy'],
  [{ policy: () => {} }, 'http.policy'],
])('wrong options name the field: %j', async (http, field) => {
  await expect(service([], { http: http as never })).rejects.toMatchObject({ code: 'INVALID_OPTION', field });
});
