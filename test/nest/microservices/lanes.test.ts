import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf } from '../support.js';
import { frontHop, grpcHop, httpHop, tcpHop } from './hops.js';

test('over four hops and three protocols, of 1,000 calls none is on a wrong instance', async () => {
  const registry = new InMemoryRegistry();
  await tcpHop(registry, { name: 'LAST' });
  await tcpHop(registry, { name: 'LAST', lane: 'alice' });
  await tcpHop(registry, { name: 'LAST', lane: 'bob' });
  await grpcHop(registry, { name: 'THIRD' });
  // Alice has no THIRD of her own: her lane passes through the base.
  await grpcHop(registry, { name: 'THIRD', lane: 'bob' });
  await httpHop(registry, { name: 'SECOND' });
  await httpHop(registry, { name: 'SECOND', lane: 'alice' });
  const front = await frontHop(registry, { name: 'FRONT' });
  const url = `http://127.0.0.1:${portOf(front)}/trail`;
  const ways: readonly (readonly [string | undefined, string])[] = [
    [undefined, 'FRONT/base SECOND/base THIRD/base LAST/base'],
    ['alice', 'FRONT/base SECOND/alice THIRD/base LAST/alice'],
    ['bob', 'FRONT/base SECOND/base THIRD/bob LAST/bob'],
    ['nobody', 'FRONT/base SECOND/base THIRD/base LAST/base'],
  ];
  const wrong: unknown[] = [];
  let left = 1000;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const [lane, expected] = ways[left % ways.length] ?? [undefined, ''];
      const answer = await fetch(url, { headers: lane === undefined ? {} : { 'x-lane': lane } });
      const trail = await answer.text();
      if (trail !== expected) wrong.push([lane, trail]);
      // So that calls of different lanes come in between.
      if (left % 7 === 0) await sleep(1);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  expect(wrong).toEqual([]);
}, 120_000);
