import { Readable } from 'node:stream';
import axios from 'axios';
import { firstValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { DiscoveryModuleOptions } from '../../../../lib/nest/index.js';
import { readAll, until } from '../transport/support.js';
import {
  after,
  answer,
  calls,
  node,
  nodes,
  refusing,
  reset,
  seen,
  service,
  silence,
  status,
  type Node,
} from './support.js';

/** Instances in the order in which a call meets them. */
async function line(
  members: readonly Node[],
  options: DiscoveryModuleOptions,
): Promise<Awaited<ReturnType<typeof service>>> {
  const order = members.map(({ port }) => port);
  return service(members, {
    ...options,
    http: {
      balancing: (instances, { tried }) =>
        order
          .map((port) => instances.find((instance) => instance.port === port))
          .find((instance) => instance !== undefined && tried?.has(instance.url) !== true),
      ejection: false,
      ...options.http,
    },
  });
}

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'calls through $transport',
  (transport) => {
    it('R49: go to another instance once, for methods that may be sent twice, unless told otherwise', async () => {
      const [bad, good] = [await node(reset), await node()];
      const stock = await line([bad, good], transport);
      expect(await calls(stock, 1)).toEqual([good.port]);
      expect(await calls(stock, 1, { method: 'delete' })).toEqual([good.port]);
      expect(await calls(stock, 1, { method: 'post' })).toEqual(['ECONNRESET']);
      expect(seen(bad, good)).toEqual([3, 2]);
      const all = await line([bad, good], { ...transport, http: { retry: { unsafeMethods: true } } });
      expect(await calls(all, 1, { method: 'post' })).toEqual([good.port]);
    });

    it('as many as asked for, or all', async () => {
      const members = [...(await nodes(4, reset)), await node()];
      const three = await line(members, transport);
      expect(await calls(three, 1)).toEqual(['ECONNRESET']);
      expect(seen(...members)).toEqual([1, 1, 1, 0, 0]);
      const all = await line(members, { ...transport, http: { maxAttempts: 'all' } });
      expect(await calls(all, 1)).toEqual([members[4]?.port]);
      expect(seen(...members)).toEqual([1, 1, 1, 1, 1]);
    });

    it('R50: of an instance in trouble get a bounded number of retries', async () => {
      const members = await nodes(3, status(503));
      const stock = await service(members, { ...transport, http: { retry: { budgetPerSecond: 0 }, ejection: false } });
      await calls(stock, 200);
      const load = seen(...members).reduce((sum, hits) => sum + hits);
      expect(load).toBeGreaterThan(200);
      expect(load).toBeLessThanOrEqual(200 * 1.2 + 1);
    });

    it('R51: that surely were not sent are made elsewhere, whatever the method and the budget', async () => {
      const [bad, good] = [await refusing(), await node()];
      const retry = { budgetShare: 0, budgetPerSecond: 0 };
      const stock = await line([bad, good], { ...transport, http: { retry } });
      expect(new Set(await calls(stock, 50, { method: 'post' }))).toEqual(new Set([good.port]));
      expect(seen(good)).toEqual([50]);
    });

    it('R52: obey Retry-After, and are not made again after their time', async () => {
      const [busy, good] = [await node(status(503, { 'retry-after': '60' })), await node()];
      const stock = await service([busy, good], transport);
      await calls(stock, 20);
      expect(seen(busy)).toEqual([1]);
      const [slow, never] = [await node(after(150, reset)), await node()];
      const late = await line([slow, never], { ...transport, http: { totalTimeoutMs: 100 } });
      expect(await calls(late, 1)).toEqual(['ECONNABORTED']);
      await until(() => slow.hits === 1, 'the first try');
      expect(seen(slow, never)).toEqual([1, 0]);
    });

    it('R54: that fail are made on the list as it is then, not as it was', async () => {
      const [first, old, young] = await nodes(3);
      if (first === undefined || old === undefined || young === undefined) throw new Error('no nodes');
      const stock = await line([first, old, young], transport);
      stock.remove(young);
      await stock.knows(first, old);
      first.behaviour = (request) => {
        stock.remove(old);
        stock.add(young);
        void stock.knows(first, young).then(() => request.socket.destroy());
      };
      expect(await calls(stock, 1)).toEqual([young.port]);
      expect(seen(old)).toEqual([0]);
    });

    it('by walkNodes go on after a failed call, and after nothing else', async () => {
      const members = [await node(status(500)), await refusing(), await node(reset), await node(silence), await node()];
      const stock = await line(members, transport);
      const walkers: ((url: string) => Promise<unknown>)[] = [
        (url) => axios.post(url, 'order', { timeout: 2000 }),
        async (url) => {
          const response = await fetch(url, { method: 'POST', signal: AbortSignal.timeout(2000) });
          if (!response.ok) throw Object.assign(new Error('refused'), { status: response.status });
          return response;
        },
      ];
      for (const walker of walkers) {
        expect(await stock.client.walkNodes('STOCK', walker)).toMatchObject({ status: 200 });
        expect(seen(...members)).toEqual([1, 0, 1, 1, 1]);
      }
      for (const problem of [new TypeError('x is not a function'), new Error('sold out')]) {
        let orders = 0;
        const walked = stock.client.walkNodes('STOCK', () => {
          orders += 1;
          throw problem;
        });
        await expect(walked).rejects.toBe(problem);
        expect(orders).toBe(1);
        expect(problem).not.toHaveProperty('attempts');
      }
    });

    it('that run out of time go to another instance when asked for, as long as there is time in all', async () => {
      const [slow, good] = [await node(silence), await node()];
      const http = { timeoutMs: 100, retry: { timeouts: true } };
      const stock = await line([slow, good], { ...transport, http });
      expect(await calls(stock, 2)).toEqual([good.port, good.port]);
      expect(await calls(stock, 1, { method: 'post' })).toEqual(['ECONNABORTED']);
      const off = await line([slow, good], { ...transport, http: { timeoutMs: 100 } });
      expect(await calls(off, 1)).toEqual(['ECONNABORTED']);
      const late = await line([slow, good], { ...transport, http: { ...http, totalTimeoutMs: 100 } });
      expect(await calls(late, 1)).toEqual(['ECONNABORTED']);
      expect(seen(good)).toEqual([2]);
    });

    it('name every try in their error', async () => {
      const members = [await node(reset), await refusing(), await node(status(503))];
      const stock = await line(members, transport);
      const error: unknown = await stock.client.axiosRef.get('/').catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        response: { status: 503 },
        attempts: [
          { target: members[0]?.url, code: 'ECONNRESET' },
          { target: members[1]?.url, code: 'ECONNREFUSED' },
          { target: members[2]?.url, code: 'ERR_BAD_RESPONSE', reason: 'Request failed with status code 503' },
        ],
      });
    });

    it('a body that is a stream is sent once', async () => {
      const [bad, good] = [await node(reset), await node()];
      const stock = await line([bad, good], { ...transport, http: { retry: { unsafeMethods: true } } });
      const call = stock.client.axiosRef.put('/', Readable.from(['a', 'b']));
      await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) as unknown });
      expect(seen(good)).toEqual([0]);
    });
  },
);

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'hedged calls through $transport',
  (transport) => {
    const hedging = { delayMs: 50 };

    it('take the first answer and give the other up', async () => {
      let givenUp = false;
      const [slow, fast] = [await node(), await node()];
      slow.behaviour = (request) => {
        request.socket.once('close', () => (givenUp = true));
      };
      const stock = await line([slow, fast], { ...transport, http: { hedging } });
      expect(await calls(stock, 1)).toEqual([fast.port]);
      await until(() => givenUp, 'the end of the slow one');
      expect(seen(slow, fast)).toEqual([1, 1]);
      expect(stock.client.instanceStats().map(({ pending }) => pending)).toEqual([0, 0]);
      const [overtaken] = stock.client.instanceStats();
      expect(overtaken?.latencyMs).toBeGreaterThanOrEqual(40);
      expect(overtaken?.health).toBe(1);
    });

    it('ask one instance only when it answers in time', async () => {
      const [first, second] = [await node(), await node()];
      const stock = await line([first, second], { ...transport, http: { hedging: { delayMs: 5000 } } });
      expect(await calls(stock, 3)).toEqual([first.port, first.port, first.port]);
      expect(seen(first, second)).toEqual([3, 0]);
    });

    it('ask as many as allowed, and wait for the slowest when the others fail', async () => {
      const [a, b, c, d] = [await node(), await node(status(503)), await node(reset), await node()];
      a.behaviour = (request, response) => {
        void until(() => c.hits === 1, 'the hedge’s second try').then(() => after(50)(request, response));
      };
      const stock = await line([a, b, c, d], {
        ...transport,
        http: { hedging: { delayMs: 30, maxHedges: 1 }, maxAttempts: 3 },
      });
      // The hedge fails, is tried at c, fails again and may try no more: a, still under way, answers.
      expect(await calls(stock, 1)).toEqual([a.port]);
      expect(seen(a, b, c, d)).toEqual([1, 1, 1, 0]);
    });

    it('an answer that every instance would give ends them', async () => {
      const [slow, refusal] = [await node(silence), await node(status(404))];
      const stock = await line([slow, refusal], { ...transport, http: { hedging } });
      expect(await calls(stock, 1)).toEqual(['404']);
    });

    it('are not made for methods that must not be sent twice, nor without a budget', async () => {
      const [slow, fast] = [await node(after(200)), await node()];
      const stock = await line([slow, fast], { ...transport, http: { hedging } });
      expect(await calls(stock, 1, { method: 'post' })).toEqual([slow.port]);
      const poor = await line([slow, fast], {
        ...transport,
        http: { hedging, retry: { budgetShare: 0, budgetPerSecond: 0 } },
      });
      expect(await calls(poor, 1)).toEqual([slow.port]);
      expect(seen(fast)).toEqual([0]);
    });

    it('given up while the instances are looked up are not made', async () => {
      const member = await node();
      const stock = await service([], { ...transport, http: { hedging } });
      stock.registry.addInstance('OTHER', { port: member.port });
      const client = stock.runtime.unboundClient();
      client.get('lb://OTHER/').subscribe().unsubscribe();
      await firstValueFrom(client.get('lb://OTHER/'));
      expect(seen(member)).toEqual([1]);
    });

    it('of streams are not made, since what is read later must stay in the caller’s hand', async () => {
      const [slow, fast] = [await node(after(200)), await node()];
      const stock = await line([slow, fast], { ...transport, http: { hedging } });
      const { data } = await firstValueFrom(stock.client.get<Readable>('/', { responseType: 'stream' }));
      expect(await readAll(data)).toContain(String(slow.port));
      expect(seen(fast)).toEqual([0]);
    });

    it('end when the caller has enough', async () => {
      const members = await nodes(2, silence);
      const stock = await line(members, { ...transport, http: { hedging } });
      const subscription = stock.client.get('/').subscribe();
      await until(() => members.every(({ hits }) => hits === 1), 'both to be asked');
      subscription.unsubscribe();
      await until(() => stock.client.instanceStats().every(({ pending }) => pending === 0), 'both to be given up');
    });
  },
);

describe('an instance', () => {
  it('that is gone has its sockets closed', async () => {
    const [stays, goes] = await nodes(2);
    if (stays === undefined || goes === undefined) throw new Error('no nodes');
    const stock = await service([stays, goes], { transport: { keepAliveMs: 60_000, keepAliveMarginMs: 0 } });
    for (const member of [stays, goes]) {
      member.behaviour = (request, response) => {
        response.setHeader('keep-alive', 'timeout=60');
        answer(request, response);
      };
    }
    await calls(stock, 4);
    expect(goes.server.open).toBe(1);
    stock.remove(goes);
    await stock.knows(stays);
    await calls(stock, 1);
    await until(() => goes.server.open === 0, 'the socket to be closed');
    expect(stays.server.open).toBe(1);
  });

  it('is asked again over the transport that the options name', async () => {
    const member = await node((request, response) => {
      response.end(String(request.headers['user-agent']));
    });
    for (const transport of ['undici', 'axios', { client: 'axios', maxConnectionsPerOrigin: 2 }, {}] as const) {
      const stock = await service([member], { transport });
      expect((await firstValueFrom(stock.client.get<string>('/'))).status).toBe(200);
    }
    await expect(service([member], { transport: 'fetch' as never })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'transport',
    });
    await expect(service([member], { transport: { keepAliveMs: -1 } })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'transport.keepAliveMs',
    });
    await expect(service([member], { http: { hedging: {} as never } })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'http.hedging.delayMs',
    });
  });
});
