import { describe, expect, it } from 'vitest';
import { calls, nodes, refusing, seen, service } from './support.js';

/**
 * A zone whose machines are gone and still registered: the app is in it, and retries find the way out of it, however many of
 * its instances there are to be tried in vain.
 */
describe.each(['undici', 'axios'] as const)('an outage of the own zone, calls through %s', (transport) => {
  it.each([
    [2, 3],
    [2, 'all'],
    [3, 3],
    [3, 'all'],
    [10, 3],
    [10, 'all'],
  ] as const)('%i instances in either zone, maxAttempts %j: none of 1,000 calls fails', async (each, maxAttempts) => {
    const [gone, alive] = [await Promise.all(Array.from({ length: each }, () => refusing())), await nodes(each)];
    const stock = await service([], { transport, zone: 'a', http: { maxAttempts } });
    for (const one of gone) stock.add(one, { zone: 'a' });
    for (const one of alive) stock.add(one, { zone: 'b' });
    await stock.knows(...gone, ...alive);
    const outcomes = await calls(stock, 1000, { concurrency: 20 });
    expect(outcomes.filter((outcome) => typeof outcome !== 'number')).toEqual([]);
    expect(seen(...alive).reduce((sum, hits) => sum + hits, 0)).toBe(1000);
  });
});
