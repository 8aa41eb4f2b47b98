import { describe, expect, test } from 'vitest';
import { isLaneName, LaneRules } from '../../../lib/balancing/index.js';

const facts = (headers: Record<string, string> = {}, key?: string) => ({
  header: (name: string) => headers[name],
  key,
});

describe('lane rules', () => {
  test('the first that applies decides, the service’s own before those for all', () => {
    const rules = LaneRules.parse(
      {
        STOCK: [
          { match: { header: { 'X-User': ['alice', 'anna'] } }, lane: 'alice' },
          { match: { header: { 'x-user': 'bob', 'x-beta': true } }, version: 2 },
        ],
        '*': [{ match: { header: { 'x-user': 'carla' } }, lane: 'carla' }],
        my: { service: [{ lane: 'always' }] },
      },
      'lanes',
    );
    const choose = (service: string, headers: Record<string, string>) => rules.choose(service, facts(headers), () => 0);
    expect(choose('STOCK', { 'x-user': 'anna' })).toEqual({ lane: 'alice' });
    expect(choose('STOCK', { 'x-user': 'bob' })).toBeUndefined();
    expect(choose('STOCK', { 'x-user': 'bob', 'x-beta': 'true' })).toEqual({ version: '2' });
    expect(choose('STOCK', { 'x-user': 'carla' })).toEqual({ lane: 'carla' });
    expect(choose('ORDERS', { 'x-user': 'alice' })).toBeUndefined();
    expect(choose('my.service', {})).toEqual({ lane: 'always' });
  });

  test('shares follow each other, and a key stays in its own while they grow', () => {
    const of = (weight: number) =>
      LaneRules.parse(
        {
          S: [
            { weight, lane: 'canary' },
            { weight: 10, lane: 'beta' },
          ],
        },
        'lanes',
      );
    const keys = Array.from({ length: 20_000 }, (_, index) => `user-${index}`);
    const laneOf = (rules: LaneRules, key: string) => rules.choose('S', facts({}, key), Math.random)?.lane;
    const inCanary = (rules: LaneRules) => keys.filter((key) => laneOf(rules, key) === 'canary');
    const few = inCanary(of(5));
    expect(few.length / keys.length).toBeCloseTo(0.05, 2);
    expect(keys.filter((key) => laneOf(of(5), key) === 'beta').length / keys.length).toBeCloseTo(0.1, 2);
    expect(few.every((key) => laneOf(of(5), key) === 'canary')).toBe(true);
    const more = new Set(inCanary(of(20)));
    expect(few.every((key) => more.has(key))).toBe(true);
    expect(of(5).choose('S', facts(), () => 0.04)).toEqual({ lane: 'canary' });
    expect(of(5).choose('S', facts(), () => 0.5)).toBeUndefined();
  });

  test.each([
    ['a list', [], 'lanes must be an object of services'],
    ['a text', 'alice', 'lanes must be an object of services'],
    ['a service that is a text', { S: 'alice' }, 'lanes.S must be a list of rules'],
    ['a rule that is a text', { S: ['alice'] }, 'lanes.S[0] must be a rule'],
    ['a rule without a lane', { S: [{ weight: 5 }] }, 'lanes.S[0].lane is required'],
    ['an unknown field', { S: [{ lane: 'a', wieght: 5 }] }, 'lanes.S[0].wieght is none of'],
    ['a weight over 100', { S: [{ lane: 'a', weight: 101 }] }, 'lanes.S[0].weight must be a number from 0 to 100'],
    ['a lane of 10 kB', { S: [{ lane: 'a'.repeat(10_000) }] }, 'lanes.S[0].lane must be a name'],
    ['a lane with a line', { S: [{ lane: 'a\nb' }] }, 'lanes.S[0].lane must be a name'],
    [
      'a match without headers',
      { S: [{ lane: 'a', match: {} }] },
      'lanes.S[0].match.header must be an object of headers',
    ],
    [
      'an empty header',
      { S: [{ lane: 'a', match: { header: { x: '' } } }] },
      'lanes.S[0].match.header.x must be a text',
    ],
    [
      'too many rules',
      { S: Array.from({ length: 101 }, () => ({ lane: 'a' })) },
      'lanes.S must have at most 100 rules',
    ],
    ['a key of prototypes', JSON.parse('{"__proto__": []}'), 'lanes.__proto__ must be a service'],
  ])('refuse %s', (_, value, message) => {
    expect(() => LaneRules.parse(value, 'lanes')).toThrowError(
      expect.objectContaining({ code: 'CONFIG_VALUE_INVALID', message: expect.stringContaining(message) }),
    );
  });

  test('without any decide nothing', () => {
    for (const value of [undefined, null, {}]) {
      expect(LaneRules.parse(value, 'lanes').choose('S', facts(), Math.random)).toBeUndefined();
    }
  });
});

test('names of lanes are printable and short', () => {
  for (const name of ['alice', 'feature/x-1', 'a b', 'a'.repeat(255)]) expect(isLaneName(name)).toBe(true);
  for (const name of ['', ' a', 'a\r\nb', '\0', 'ä', 'a'.repeat(256)]) expect(isLaneName(name)).toBe(false);
});
