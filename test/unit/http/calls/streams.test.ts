import type { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { readAll } from '../transport/support.js';
import { answer, cutOff, node, service, type Behaviour } from './support.js';

const endless: Behaviour = (_request, response) => {
  response.write('begun');
};

/** Of both transports. */
const transports = ['undici', 'axios'] as const;

it.each(transports)('an instance whose streams break off is left out (%s)', async (transport) => {
  const breaking = await node(cutOff);
  const stock = await service([breaking, await node(answer)], { transport, http: { balancing: 'round-robin' } });
  for (let i = 0; i < 40; i += 1) {
    const { data } = await stock.client.axiosRef.get<Readable>('/', { responseType: 'stream' });
    await readAll(data);
  }
  expect(breaking.hits).toBeGreaterThan(0);
  // Every second one without it.
  expect(breaking.hits).toBeLessThan(10);
});

it.each(transports)('a stream is its instance’s call until it ends, also by its reader (%s)', async (transport) => {
  const stock = await service([await node(endless)], { transport });
  const pending = (): number | undefined => stock.client.instanceStats()[0]?.pending;
  const { data } = await stock.client.axiosRef.get<Readable>('/', { responseType: 'stream' });
  expect(pending()).toBe(1);
  data.destroy();
  await expect.poll(pending).toBe(0);
  expect(stock.client.instanceStats()[0]).toMatchObject({ ejected: false });
});

it.each(transports)('a stream that its reader finds too long says nothing of its instance (%s)', async (transport) => {
  const long: Behaviour = (_request, response) => response.end('x'.repeat(10_000));
  const stock = await service([await node(long)], { transport });
  for (let i = 0; i < 20; i += 1) {
    const { data } = await stock.client.axiosRef.get<Readable>('/', { responseType: 'stream', maxContentLength: 100 });
    expect(await readAll(data)).toContain('ERR_BAD_RESPONSE');
  }
  expect(stock.client.instanceStats()[0]).toMatchObject({ ejected: false, pending: 0 });
});
