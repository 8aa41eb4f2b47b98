import { expect, it } from 'vitest';
import { TroubleLog } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

function setUp(name?: string) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const at = (level: string) => (line: string) => void lines.push(`${level} ${line}`);
  const logger = { error: at('error'), warn: at('warn'), log: at('log'), debug: at('debug') };
  const told = (): string[] => lines.splice(0).filter((line) => !line.startsWith('debug'));
  return { clock, lines, told, troubles: new TroubleLog(logger, clock, name) };
}

it('a trouble is a line when it begins, whatever it says later, and one when it is over, each time', async () => {
  const { clock, told, troubles } = setUp('nacos');
  for (let outage = 0; outage < 2; outage += 1) {
    for (let second = 0; second < 60; second += 1) {
      troubles.failed('the beat of S', new Error(`no answer at ${second}`));
      await clock.advance(1000);
    }
    troubles.works('the beat of S');
    troubles.works('the beat of S');
    expect(told()).toEqual([
      'warn nacos: the beat of S: no answer at 0; it is tried again',
      'log nacos: the beat of S works again, after 60 s',
    ]);
  }
});

it('what goes on is for whoever debugs, and each thing that fails is told of itself', () => {
  const { lines, troubles } = setUp();
  troubles.failed('this', new Error('one'), 'so what');
  troubles.failed('that', new Error('two'));
  troubles.failed('this', new Error('three'));
  expect(lines).toEqual(['warn this: one; so what', 'warn that: two; it is tried again', 'debug this: three']);
});

it('names that come without end are told of a hundred times, and what is over makes room', () => {
  const { told, troubles } = setUp();
  for (let i = 0; i < 1000; i += 1) troubles.failed(`subject ${i}`, new Error('no'));
  expect(told()).toHaveLength(100);
  troubles.works('subject 0');
  troubles.failed('subject 1000', new Error('no'));
  expect(told()).toHaveLength(2);
  troubles.forget();
  troubles.failed('subject 1', new Error('no'));
  expect(told()).toEqual(['warn subject 1: no; it is tried again']);
});
