import { describe, expect, it } from 'vitest';
import type { BalancingStrategy, LoadBalancer } from '../../../../lib/balancing/index.js';
import { ManualClock } from '../../../../lib/testing/index.js';
import { calls, node, nodes, reset, seen, service, type Node, type Service } from './support.js';

/** Two nodes in zone a and two in zone b; those with an even index are version 1. */
async function zoned(options: Parameters<typeof service>[1], clock?: ManualClock): Promise<[Service, Node[]]> {
  const members = await nodes(4);
  const stock = await service([], options, clock);
  members.forEach((member, index) =>
    stock.add(member, { zone: index < 2 ? 'a' : 'b', metadata: { version: String(1 + (index % 2)) } }),
  );
  await stock.knows(...members);
  return [stock, members];
}

async function chosen({ runtime }: Service, count = 20): Promise<number[]> {
  const ports = new Set<number>();
  for (let i = 0; i < count; i += 1) ports.add((await runtime.discovery.choose('STOCK')).port);
  return [...ports].toSorted();
}

const portsOf = (...members: readonly (Node | undefined)[]): number[] =>
  members.map((member) => member?.port ?? 0).toSorted();

describe('choose', () => {
  it('prefers the own zone, as calls do', async () => {
    const [stock, members] = await zoned({ zone: 'a' });
    expect(await chosen(stock)).toEqual(portsOf(members[0], members[1]));
  });

  it('keeps to the routing of the service’s calls', async () => {
    const [stock, members] = await zoned({ http: { routing: { metadata: { version: '2' } } } });
    expect(await chosen(stock)).toEqual(portsOf(members[1], members[3]));
    const [other, others] = await zoned({ clients: { STOCK: { routing: { metadata: { version: '1' } } } } });
    expect(await chosen(other)).toEqual(portsOf(others[0], others[2]));
  });

  it('leaves out what calls have ejected, whatever their own strategy', async () => {
    const [bad, ...good] = await nodes(3);
    if (bad === undefined) throw new Error('no node');
    bad.behaviour = reset;
    const stock = await service([bad, ...good], {}, new ManualClock());
    const client = stock.runtime.clientFor('own', 'STOCK', { balancing: 'random' });
    await calls({ ...stock, client }, 60);
    expect(await chosen(stock)).toEqual(portsOf(...good));
    const walked = new Set<string>();
    for (let i = 0; i < 10; i += 1) await client.walkNodes('STOCK', (url) => walked.add(url));
    expect(walked).toEqual(new Set(good.map(({ url }) => url)));
  });

  it('counts nothing as under way', async () => {
    const stock = await service(await nodes(1));
    await calls(stock, 1);
    await chosen(stock, 5);
    expect(stock.client.instanceStats()).toMatchObject([{ pending: 0 }]);
  });
});

describe('pick', () => {
  it('counts its call as under way until its outcome, and takes exactly one', async () => {
    const stock = await service(await nodes(1));
    await calls(stock, 1);
    const pending = (): number | undefined => stock.client.instanceStats()[0]?.pending;
    const one = await stock.runtime.discovery.pick('STOCK');
    const two = await stock.runtime.discovery.pick('STOCK');
    expect(pending()).toBe(2);
    one.succeeded();
    one.failed(new Error('late'));
    one.cancelled();
    expect(pending()).toBe(1);
    two.cancelled();
    expect(pending()).toBe(0);
  });

  it.each([
    ['a refused connection', Object.assign(new Error('no'), { code: 'ECONNREFUSED' })],
    ['what fetch throws', new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } })],
    ['a time-out of AbortSignal.timeout', new DOMException('late', 'TimeoutError')],
    ['an answer of 503', Object.assign(new Error('503'), { response: { status: 503 } })],
  ])('ejects after five failures by %s, for calls too', async (_, error) => {
    const members = await nodes(3);
    const stock = await service(members, { http: { balancing: 'stick' } }, new ManualClock());
    const first = (await stock.runtime.discovery.pick('STOCK')).instance;
    for (let i = 0; i < 5; i += 1) (await stock.runtime.discovery.pick('STOCK')).failed(error);
    await calls(stock, 10);
    expect(seen(...members.filter(({ port }) => port === first.port))).toEqual([0]);
  });

  it.each([
    ['the caller’s abort', new DOMException('enough', 'AbortError')],
    ['an answer of 404', Object.assign(new Error('404'), { response: { status: 404 } })],
    ['anything else', new RangeError('a mistake')],
  ])('holds %s against nobody', async (_, error) => {
    const stock = await service(await nodes(2), { http: { balancing: 'stick' } }, new ManualClock());
    const first = (await stock.runtime.discovery.pick('STOCK')).instance;
    for (let i = 0; i < 9; i += 1) (await stock.runtime.discovery.pick('STOCK')).failed(error);
    expect((await stock.runtime.discovery.pick('STOCK')).instance).toBe(first);
  });

  it('goes by key and hint', async () => {
    const [stock, members] = await zoned({
      http: { balancing: 'consistent-hash', routing: { hintMetadata: 'version' } },
    });
    const { discovery } = stock.runtime;
    const pick = await discovery.pick('STOCK', { key: 'carla' });
    for (let i = 0; i < 9; i += 1)
      expect((await discovery.pick('STOCK', { key: 'carla' })).instance).toBe(pick.instance);
    const hinted = new Set<number>();
    for (let i = 0; i < 40; i += 1) hinted.add((await discovery.pick('STOCK', { hint: '2' })).instance.port);
    expect([...hinted].toSorted()).toEqual(portsOf(members[1], members[3]));
  });

  it.each<[string, BalancingStrategy]>([
    ['the strategy of the app', 'round-robin'],
    ['one that keeps to an instance', 'stick'],
    ['a function that knows nothing of tries', ([first]) => first],
  ])('gives a retry no instance twice, in whatever zone the others are: %s', async (_, balancing) => {
    for (let round = 0; round < 20; round += 1) {
      const [stock, members] = await zoned({ zone: 'a', http: { balancing } });
      const tried = new Set<string>();
      for (let i = 0; i < members.length; i += 1) {
        const { instance } = await stock.runtime.discovery.pick('STOCK', { tried });
        expect(tried).not.toContain(instance.url);
        tried.add(instance.url);
      }
      await stock.runtime.close();
    }
  });

  it('fails as a call does when there is nobody to pick', async () => {
    const { discovery } = (await service(await nodes(1))).runtime;
    await expect(discovery.pick('OTHER')).rejects.toMatchObject({ code: 'NO_INSTANCE' });
    await expect(discovery.pick('OTHER')).rejects.toMatchObject({ code: 'NO_INSTANCE' });
    await expect(discovery.pick('../x')).rejects.toMatchObject({ code: 'INVALID_NAME' });
  });

  it('keeps the watch of its service open for as long as it is made again', async () => {
    const clock = new ManualClock();
    const stock = await service([], { discovery: { lingerMs: 30_000 } }, clock);
    const { discovery, views } = stock.runtime;
    stock.registry.addInstance('PRICES', { port: 1 });
    (await discovery.pick('PRICES')).cancelled();
    for (let i = 0; i < 5; i += 1) {
      await clock.advance(20_000);
      (await discovery.pick('PRICES')).cancelled();
    }
    expect(views.watched).toContain('PRICES');
    await clock.advance(30_000);
    expect(views.watched).not.toContain('PRICES');
  });
});

describe('the unbound client', () => {
  it('knows what was seen of the service that is named, or of all', async () => {
    const [one, other] = [await node(), await node()];
    const stock = await service([one]);
    stock.registry.addInstance('OTHER', { port: other.port });
    const unbound = stock.runtime.unboundClient();
    expect(unbound.instanceStats()).toEqual([]);
    await calls(stock, 1);
    await unbound.axiosRef.get('lb://OTHER/');
    const [ofStock, ofOther] = [
      { service: 'STOCK', url: one.url, pending: 0, health: 1, ejected: false },
      { service: 'OTHER', url: other.url, pending: 0, health: 1, ejected: false },
    ];
    for (const client of [unbound, stock.runtime.unboundClient()]) {
      expect(client.instanceStats()).toMatchObject([ofStock, ofOther]);
      expect(client.instanceStats('OTHER')).toMatchObject([ofOther]);
      expect(client.instanceStats('NOBODY')).toEqual([]);
    }
    expect(stock.client.instanceStats()).toMatchObject([ofStock]);
    expect(stock.client.instanceStats('OTHER')).toMatchObject([ofOther]);
  });
});

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'instances of other schemes, through $transport',
  (transport) => {
    it('get no calls of an HTTP client, which tells which there are when it has no other', async () => {
      const [http, grpc] = [await node(), await node()];
      for (const balancing of ['round-robin', 'stick', 'p2c'] as const) {
        const stock = await service([http], { ...transport, http: { balancing } });
        stock.add(grpc, { scheme: 'grpc' });
        await stock.knows(http, grpc);
        expect(new Set(await calls(stock, 20))).toEqual(new Set([http.port]));
        expect(await calls(stock, 4, { method: 'post' })).toEqual(Array.from({ length: 4 }, () => http.port));
        expect(seen(http, grpc)).toEqual([24, 0]);
        // Who picks for calls of his own can speak to any.
        if (balancing === 'round-robin') expect(await chosen(stock)).toEqual(portsOf(http, grpc));
        stock.remove(http);
        await stock.knows(grpc);
        await expect(stock.client.axiosRef.get('/')).rejects.toMatchObject({
          code: 'NO_INSTANCE',
          message: expect.stringContaining(`grpc://127.0.0.1:${grpc.port} speaks grpc, not http or https`) as string,
        });
        stock.add(http);
        await stock.knows(http, grpc);
        expect(await calls(stock, 3)).toEqual([http.port, http.port, http.port]);
        seen(http, grpc);
      }
    });
  },
);

describe('a load balancer of one’s own', () => {
  it('builds a picker for every list, and is told its predecessor', async () => {
    const built: [instances: number, hadPrevious: boolean][] = [];
    const last: LoadBalancer = {
      createPicker(endpoints, previous) {
        built.push([endpoints.length, previous !== undefined]);
        return { pick: () => endpoints.at(-1) };
      },
    };
    const [first, second] = await nodes(2);
    if (first === undefined || second === undefined) throw new Error('no nodes');
    const stock = await service([first], { http: { balancing: last } });
    await calls(stock, 1);
    stock.add(second);
    await stock.knows(first, second);
    await calls(stock, 3);
    expect(seen(first, second)).toEqual([1, 3]);
    expect(built.at(0)).toEqual([1, false]);
    expect(built.at(-1)).toEqual([2, true]);
  });

  it('is told from other objects by its createPicker', async () => {
    await expect(service([await node()], { http: { balancing: {} as never } })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('createPicker') as string,
    });
  });
});
