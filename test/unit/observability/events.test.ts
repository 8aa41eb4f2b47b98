import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, test } from 'vitest';
import { DIAGNOSTICS_CHANNEL, EventHub, EventLog, type DiagnosticsMessage } from '../../../lib/observability/index.js';
import { DiscoveryError } from '../../../lib/model/index.js';

const failed = (message: string) =>
  ({
    type: 'instances.failed',
    service: 'S',
    backend: 'b',
    error: new DiscoveryError('BACKEND_UNAVAILABLE', message),
  }) as const;

describe('EventHub', () => {
  test('counts, filters, isolates, publishes and lets go', () => {
    const hub = new EventHub('app');
    const published: unknown[] = [];
    const onMessage = (message: unknown): void => void published.push((message as DiagnosticsMessage).appId);
    subscribe(DIAGNOSTICS_CHANNEL, onMessage);
    const seen: string[] = [];
    hub.on('config.changed', () => {
      throw new Error('no');
    });
    hub.on('listener.failed', ({ where }) => {
      seen.push(where);
      throw new Error('again');
    });
    const release = hub.on('config.changed', ({ keys }) => seen.push(keys.join()));
    hub.report({ type: 'config.changed', keys: ['a'] });
    release();
    hub.report({ type: 'config.changed', keys: ['b'] });
    unsubscribe(DIAGNOSTICS_CHANNEL, onMessage);
    expect(seen).toEqual(['listener of config.changed', 'a', 'listener of config.changed']);
    expect(hub.counts.get('config.changed')).toBe(2);
    expect(published.every((id) => id === 'app')).toBe(true);
    hub.close();
    hub.report({ type: 'config.changed', keys: ['c'] });
    expect(seen).toHaveLength(3);
  });
});

describe('EventLog', () => {
  test('an error that repeats itself is written once, and again when it is over or another', () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const log = new EventLog({ error: write, warn: write, log: write, debug() {} });
    for (let i = 0; i < 50; i += 1) log.write(failed('down'));
    log.write(failed('gone'));
    const [begin, ...more] = lines;
    expect(more).toEqual([]);
    expect(begin).toBe('instances S b: down; those that are known stay in use, and it is tried again');
    const error = new DiscoveryError('BACKEND_UNAVAILABLE', 'x');
    log.write({ type: 'backend.state', backend: 'b', state: { phase: 'degraded', error } });
    log.write({ type: 'backend.state', backend: 'b', state: { phase: 'ready' } });
    log.write({ type: 'backend.state', backend: 'b', state: { phase: 'ready' } });
    expect(lines.slice(1)).toEqual([
      'backend b: x; what is known of it stays in use, and it is tried again until it answers',
      expect.stringMatching(/^backend b answers again, after /),
    ]);
  });
});
