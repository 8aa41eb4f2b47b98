import { beforeEach, describe, expect, it } from 'vitest';
import { EventLog } from '../../../lib/observability/index.js';
import { DiscoveryError, unknownSnapshot, type DiscoveryEvent } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

let clock: ManualClock;
let lines: string[];
let log: EventLog;

beforeEach(() => {
  clock = new ManualClock();
  lines = [];
  const at = (level: string) => (line: string) => void lines.push(`${level} ${line}`);
  log = new EventLog({ error: at('error'), warn: at('warn'), log: at('log'), debug() {} }, clock);
});

const down = (message: string): DiscoveryError => new DiscoveryError('BACKEND_UNAVAILABLE', message);
const failed = (service: string, message = 'down', backend = 'b'): DiscoveryEvent => ({
  type: 'instances.failed',
  service,
  backend,
  error: down(message),
});
const recovered = (service: string, backend = 'b'): DiscoveryEvent => ({
  type: 'instances.recovered',
  service,
  backend,
});
const ours = { backend: 'b', service: 'S', instanceId: 's-1', status: 'UP' } as const;
const skipped = (record: string): DiscoveryEvent => ({
  type: 'record.skipped',
  backend: 'b',
  record,
  error: down('odd'),
});

describe('an outage of a service', () => {
  it('is a line when it begins and a line when it is over, each time', () => {
    for (let outage = 0; outage < 3; outage += 1) {
      for (let i = 0; i < 10; i += 1) log.write(failed('S'));
      for (let i = 0; i < 10; i += 1) log.write(recovered('S'));
    }
    const once = ['warn instances S b: down', 'log instances S b answers again'];
    expect(lines).toEqual([...once, ...once, ...once]);
  });

  it('is told apart by service and by backend, and goes on while the list changes', () => {
    log.write(failed('S'));
    log.write(failed('S', 'down', 'c'));
    log.write(failed('T'));
    const snapshot = unknownSnapshot('S');
    log.write({
      type: 'instances.changed',
      service: 'S',
      snapshot,
      diff: { added: [], removed: [], changed: [] },
    });
    log.write(failed('S'));
    log.write(recovered('S', 'c'));
    expect(lines.slice(3)).toEqual(['log instances S c answers again']);
  });

  it('names each reason once, and of endless ones a few', () => {
    for (let i = 0; i < 10; i += 1) for (const reason of ['a is down', 'b is down']) log.write(failed('S', reason));
    expect(lines).toHaveLength(2);
    for (let i = 0; i < 100; i += 1) log.write(failed('S', `attempt ${i}`));
    expect(lines).toHaveLength(5);
  });
});

describe('a registration', () => {
  it('that fails and is back is told once each', () => {
    const fails: DiscoveryEvent = { type: 'registration.failed', ...ours, error: down('no') };
    log.write({ type: 'registration.registered', ...ours });
    for (let outage = 0; outage < 2; outage += 1) {
      for (let i = 0; i < 5; i += 1) log.write(fails);
      log.write({ type: 'registration.registered', ...ours });
    }
    const outage = ['warn registration b s-1: no', 'log s-1 is again registered at b as UP'];
    expect(lines).toEqual(['log s-1 is registered at b as UP', ...outage, ...outage]);
  });

  it.each([
    { type: 'registration.removed' },
    { type: 'registration.left', confirmed: true },
    { type: 'registration.left', confirmed: false },
  ] as const)('ends with %o, whatever went wrong', (event) => {
    log.write({ type: 'registration.failed', ...ours, error: down('no') });
    log.write({ ...event, ...ours });
    log.write({ type: 'registration.registered', ...ours });
    expect(lines).toHaveLength(3);
    expect(lines[2]).toBe('log s-1 is registered at b as UP');
  });
});

describe('what comes from outside', () => {
  it('stays on its line', () => {
    log.write(failed('S\nERROR forged', 'x\r\ny'));
    log.write(skipped('a\u001b[2Kb'));
    log.write({ type: 'config.changed', keys: ['k\n1'] });
    log.write({ type: 'listener.failed', where: 'w', error: new Error('e\n2') });
    expect(lines).toHaveLength(4);
    expect(lines.filter((line) => /[\n\r\u001b]/.test(line))).toEqual([]);
    expect(lines[0]).toBe('warn instances S\\u000aERROR forged b: x\\u000d\\u000ay');
  });

  it('writes no more than a bound, however much fails, and says so', () => {
    for (let round = 0; round < 3; round += 1) for (let i = 0; i < 1500; i += 1) log.write(failed(`S${i}`));
    expect(lines).toHaveLength(1001);
    expect(lines.at(-1)).toContain('too many');
    for (let i = 0; i < 1500; i += 1) log.write(recovered(`S${i}`));
    expect(lines).toHaveLength(2001);
    log.write(failed('S1200'));
    expect(lines.at(-1)).toBe('warn instances S1200 b: down');
  });

  it('keeps no outage from being told by bad records', () => {
    for (let i = 0; i < 2000; i += 1) log.write(skipped(`r${i}`));
    log.write(failed('S'));
    expect(lines).toHaveLength(1002);
    expect(lines.at(-1)).toBe('warn instances S b: down');
  });

  it('is forgotten when nobody tells of it any more', async () => {
    for (let i = 0; i < 1000; i += 1) log.write(failed(`S${i}`));
    await clock.advance(300_000);
    log.write(failed('S0'));
    await clock.advance(300_001);
    log.write(failed('other'));
    expect(lines).toHaveLength(1001);
    log.write(failed('S0'));
    expect(lines).toHaveLength(1001);
    log.write(failed('S1'));
    expect(lines).toHaveLength(1002);
  });
});
