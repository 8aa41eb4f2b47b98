import { expect, it } from 'vitest';
import { flattened, type Recording } from '../../bench/all.js';
import { compare, comparisonText } from '../../bench/compare.js';

const recorded = (...runs: readonly object[]): Recording => ({
  ...{ node: 'v20', cpu: 'x', cores: 2, load: 0, at: '' },
  results: { http: runs.map((run) => Object.fromEntries(flattened('', run))) },
});

it('tells what lies beyond the noise of both recordings, in the direction that counts', () => {
  const before = recorded(
    { cpu: { call: 100 }, throughputVsPeer: 2, flat: 10, noisy: 50, instances: 10 },
    { cpu: { call: 104 }, throughputVsPeer: 2.1, flat: 10, noisy: 90, instances: 10 },
  );
  const after = recorded(
    { cpu: { call: 120 }, throughputVsPeer: 3, flat: 10.2, noisy: 80, instances: 20, more: 1 },
    { cpu: { call: 125 }, throughputVsPeer: 3.1, flat: 10.2, noisy: 130, instances: 20, more: 1 },
  );
  const comparisons = compare(before, after);
  expect(comparisons.map(({ name, verdict }) => [name, verdict])).toEqual([
    ['http.cpu.call', 'worse'],
    ['http.throughputVsPeer', 'better'],
    // Apart, but by less than a twentieth.
    ['http.flat', 'within the noise'],
    ['http.noisy', 'within the noise'],
  ]);
  expect(comparisons[0]?.ratio).toBe(1.201);
  expect(comparisonText(comparisons)).toMatch(/^better[^]*\nworse[^]*\n2 of 4 figures are within the noise$/);
  expect(
    compare(after, before)
      .map(({ verdict }) => verdict)
      .slice(0, 2),
  ).toEqual(['better', 'worse']);
});

it('asks for more of recordings of a single run, and makes nothing of a benchmark that one of them lacks', () => {
  expect(compare(recorded({ a: 100 }), recorded({ a: 108 }))[0]?.verdict).toBe('within the noise');
  expect(compare(recorded({ a: 100 }), recorded({ a: 120 }))[0]?.verdict).toBe('worse');
  expect(compare(recorded({ a: 1 }), { ...recorded(), results: {} })).toEqual([]);
});
