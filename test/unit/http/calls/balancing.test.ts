import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../lib/testing/index.js';
import { answer, calls, node, nodes, reset, seen, service, status, type Behaviour } from './support.js';

const POOLED = { transport: 'undici' } as const;
const AXIOS = { transport: 'axios' } as const;

describe.each([POOLED, AXIOS])('calls through $transport', (transport) => {
  it('R45: go round: of k·n calls each of n instances gets k', async () => {
    const members = await nodes(3);
    const stock = await service(members, transport);
    await calls(stock, 30, { concurrency: 4 });
    expect(seen(...members)).toEqual([10, 10, 10]);
  });

  it('R40, R43: five failures in a row leave an instance out for 30 s; it comes back by one probe', async () => {
    const clock = new ManualClock();
    const [bad, ...good] = await nodes(3);
    if (bad === undefined) throw new Error('no node');
    bad.behaviour = reset;
    const stock = await service([bad, ...good], transport, clock);
    // Every failure is answered by another instance.
    expect((await calls(stock, 30)).every((outcome) => typeof outcome === 'number')).toBe(true);
    expect(seen(bad)).toEqual([5]);
    await clock.advance(29_000);
    await calls(stock, 12);
    expect(seen(bad)).toEqual([0]);
    // The probe fails: out again, for twice the time.
    await clock.advance(2000);
    await calls(stock, 12);
    expect(seen(bad)).toEqual([1]);
    await clock.advance(45_000);
    await calls(stock, 12);
    expect(seen(bad)).toEqual([0]);
    // It recovers.
    bad.behaviour = answer;
    await clock.advance(20_000);
    await calls(stock, 12);
    expect(seen(bad)[0]).toBeGreaterThanOrEqual(3);
  });

  it('R41, R42: when most or all fail, all are called all the same', async () => {
    const members = await nodes(2, status(503));
    const stock = await service(members, { ...transport, http: { maxAttempts: 1 } });
    await calls(stock, 40);
    seen(...members);
    expect(new Set(await calls(stock, 10))).toEqual(new Set(['503']));
    expect(seen(...members).reduce((sum, hits) => sum + hits)).toBe(10);
  });

  it('R44: of two the faster: an instance ten times slower gets less than a fifth of its fair share', async () => {
    // The nodes' answers take time by a clock of their own, which a busy machine doesn't disturb.
    const clock = new ManualClock();
    const taking =
      (ms: number): Behaviour =>
      (request, response) => {
        void clock.advance(ms).then(() => answer(request, response));
      };
    const members = await nodes(5, taking(5));
    const slow = members[0];
    if (slow === undefined) throw new Error('no node');
    slow.behaviour = taking(50);
    const stock = await service(members, { ...transport, http: { balancing: 'p2c' } }, clock);
    await calls(stock, 1000);
    expect(seen(slow)[0]).toBeLessThan(1000 / 5 / 5);
  });

  it('R47: the own zone is preferred, and the others take what it is short of', async () => {
    const [here, there] = await nodes(2);
    if (here === undefined || there === undefined) throw new Error('no nodes');
    const stock = await service([], { ...transport, zone: 'a' });
    stock.add(here, { zone: 'a' });
    stock.add(there, { zone: 'b' });
    await stock.knows(here, there);
    await calls(stock, 20);
    expect(seen(here, there)).toEqual([20, 0]);
    stock.remove(here);
    await stock.knows(there);
    await calls(stock, 5);
    expect(seen(here, there)).toEqual([0, 5]);
  });

  it('R48: a new instance begins with a part of its share', async () => {
    const clock = new ManualClock();
    const old = await node();
    const stock = await service([old], { ...transport, http: { routing: { warmUpMs: 60_000 } } }, clock);
    await calls(stock, 2);
    const young = await node();
    stock.add(young);
    await stock.knows(old, young);
    seen(old, young);
    await calls(stock, 200);
    const [cold = 0] = seen(young);
    expect(cold).toBeLessThan(50);
    await clock.advance(61_000);
    await calls(stock, 200);
    const [warm = 0] = seen(young);
    expect(warm).toBeGreaterThan(80);
  });

  it('a hint, a key and their headers choose the instance', async () => {
    const [blue, green] = await nodes(2);
    if (blue === undefined || green === undefined) throw new Error('no nodes');
    const stock = await service([], {
      ...transport,
      http: { balancing: 'sticky', hintHeader: 'x-sc-lb-hint', keyHeader: 'x-user' },
    });
    stock.add(blue, { metadata: { hint: 'blue' } });
    stock.add(green, { metadata: { hint: 'green' } });
    await stock.knows(blue, green);
    const portOf = async (config: object): Promise<number> =>
      (await stock.client.axiosRef.get<{ port: number }>('/', config)).data.port;
    for (const [hint, { port }] of [['blue', blue] as const, ['green', green] as const]) {
      expect(await portOf({ loadBalancing: { hint } })).toBe(port);
      expect(await portOf({ headers: { 'X-SC-LB-Hint': hint } })).toBe(port);
    }
    const users = Array.from({ length: 20 }, (_, i) => `user ${i}`);
    const homes = new Map<string, number>();
    for (const key of users) homes.set(key, await portOf({ loadBalancing: { key } }));
    expect(new Set(homes.values()).size).toBe(2);
    for (const key of users) expect(await portOf({ headers: { 'x-user': key } })).toBe(homes.get(key));
  });
});
