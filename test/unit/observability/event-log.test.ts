import { beforeEach, describe, expect, it } from 'vitest';
import { EventLog } from '../../../lib/observability/index.js';
import { DiscoveryError, unknownSnapshot, type DiscoveryEvent } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

const KEPT = '; those that are known stay in use, and it is tried again';

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
    const once = [`warn instances S b: down${KEPT}`, 'log instances S b answers again, after 0.0 s'];
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
    expect(lines.slice(3)).toEqual(['log instances S c answers again, after 0.0 s']);
  });

  it('is one line whatever the text, and another when it is another sort of failure', () => {
    for (let i = 0; i < 100; i += 1) log.write(failed('S', `{"timestamp":"2026-11-29T05:00:${i}","status":404}`));
    expect(lines).toHaveLength(1);
    const refused = new DiscoveryError('BACKEND_REFUSED', 'no right');
    for (let i = 0; i < 5; i += 1) {
      log.write({ type: 'instances.failed', service: 'S', backend: 'b', error: refused });
      log.write(failed('S'));
    }
    expect(lines.slice(1)).toEqual([`warn instances S b: no right${KEPT}`]);
  });
});

describe('an outage of a backend', () => {
  const state = (phase: 'degraded' | 'ready', error?: DiscoveryError): DiscoveryEvent => ({
    type: 'backend.state',
    backend: 'b',
    state: error === undefined ? { phase } : { phase, error },
  });
  const unregistered = (error: DiscoveryError): DiscoveryEvent => ({ type: 'registration.failed', ...ours, error });
  const unread = (error: DiscoveryError): DiscoveryEvent => ({ type: 'config.failed', backend: 'b', error });

  it('is told once for all that it has done, with what goes on, and how long it was', async () => {
    log.write({ type: 'registration.registered', ...ours });
    for (let i = 0; i < 3; i += 1) {
      // As three parts of a product say the same in their own words.
      log.write(state('degraded', down(`no session (${i})`)));
      log.write(unregistered(down('the connection is lost')));
      for (const service of ['S', 'T']) log.write(failed(service, `no server answered, try ${i}`));
      log.write(unread(new DiscoveryError('TIMEOUT', 'took longer than 5000 ms')));
      await clock.advance(30_000);
    }
    expect(lines.slice(1)).toEqual([
      'warn backend b: no session (0); what is known of it stays in use, and it is tried again until it answers',
    ]);
    log.write(state('ready'));
    for (const service of ['S', 'T']) log.write(recovered(service));
    log.write({ type: 'registration.registered', ...ours });
    expect(lines.slice(2)).toEqual([
      'log backend b answers again, after 90 s',
      'log s-1 is again registered at b as UP, after 90 s',
    ]);
    log.write(state('degraded', down('gone')));
    expect(lines).toHaveLength(5);
  });

  it('that is a refusal explains those that say the same, and not the others', () => {
    const at = (path: string, second: number): DiscoveryError =>
      new DiscoveryError('BACKEND_REFUSED', `404 to ${path}: {"timestamp":"05:00:0${second}"}`);
    for (let i = 0; i < 9; i += 1) {
      log.write(state('degraded', at('/apps', i)));
      for (const service of ['S', 'T', 'U']) {
        const error = at('/apps', i);
        log.write({ type: 'instances.failed', service, backend: 'b', error });
      }
      log.write(unregistered(at('/register', i)));
    }
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain('warn registration b s-1: 404 to /register');
  });

  it('with ever other refusals is a bounded number of lines', () => {
    const word = (at: number): string => String.fromCodePoint(97 + (at % 26), 97 + Math.floor(at / 26));
    log.write(state('degraded', new DiscoveryError('BACKEND_REFUSED', 'no right')));
    for (let i = 0; i < 600; i += 1) {
      const error = new DiscoveryError('BACKEND_REFUSED', `no right to ${word(i)}`);
      log.write({ type: 'instances.failed', service: word(i), backend: 'b', error });
    }
    expect(lines.length).toBeLessThan(15);
  });

  it('says nothing twice about a configuration that could not be read, and tells a bad document as it is', () => {
    log.write(unread(down('gone')));
    log.write(unread(down('gone again')));
    log.write({
      type: 'config.rejected',
      backend: 'b',
      error: new DiscoveryError('CONFIG_DOCUMENT_INVALID', 'no YAML'),
    });
    expect(lines).toEqual([
      'warn configuration b: gone; the values that are known stay in force, and it is tried again',
      'error configuration rejected, the values before stay: no YAML',
    ]);
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
    const outage = [
      'warn registration b s-1: no; it is tried again',
      'log s-1 is again registered at b as UP, after 0.0 s',
    ];
    expect(lines).toEqual(['log s-1 is registered at b as UP', ...outage, ...outage]);
  });

  it.each(['registration.removed', 'registration.absent', 'registration.left'] as const)(
    'ends with %s, whatever went wrong',
    (type) => {
      log.write({ type: 'registration.failed', ...ours, error: down('no') });
      log.write({ type, ...ours });
      log.write({ type: 'registration.registered', ...ours });
      expect(lines).toHaveLength(3);
      expect(lines[2]).toBe('log s-1 is registered at b as UP');
    },
  );
});

describe('the end of a registration', () => {
  it('is told as it was', () => {
    log.write({ type: 'registration.removed', ...ours });
    log.write({ type: 'registration.absent', ...ours });
    log.write({ type: 'registration.left', ...ours, error: down('no answer') });
    expect(lines).toEqual([
      'log s-1 was taken out of b',
      'log s-1 is not registered at b: there was nothing to take out',
      'warn s-1 could not be taken out of b (no answer); it stays there until its lease ends',
    ]);
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
    expect(lines[0]).toBe('warn instances S\\u000aERROR forged b: x\\u000d\\u000ay' + KEPT);
  });

  it('writes no more than a bound, however much fails, and says so', () => {
    for (let round = 0; round < 3; round += 1) for (let i = 0; i < 1500; i += 1) log.write(failed(`S${i}`));
    expect(lines).toHaveLength(1001);
    expect(lines.at(-1)).toContain('too many');
    for (let i = 0; i < 1500; i += 1) log.write(recovered(`S${i}`));
    expect(lines).toHaveLength(2001);
    log.write(failed('S1200'));
    expect(lines.at(-1)).toBe(`warn instances S1200 b: down${KEPT}`);
  });

  it('keeps no outage from being told by bad records', () => {
    for (let i = 0; i < 2000; i += 1) log.write(skipped(`r${i}`));
    log.write(failed('S'));
    expect(lines).toHaveLength(1002);
    expect(lines.at(-1)).toBe(`warn instances S b: down${KEPT}`);
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
