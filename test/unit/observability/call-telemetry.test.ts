import { describe, expect, it } from 'vitest';
import { createServiceInstance } from '../../../lib/model/index.js';
import { BoundedNames, CallMeter, CallTelemetry, type CallObserver } from '../../../lib/observability/index.js';

const instance = createServiceInstance({ service: 'STOCK', host: '10.0.0.1', port: 80, backend: 'b' });
const CALL = { protocol: 'http', service: 'STOCK' };

/** Writes down what it is told. */
function recorder(lines: string[], name = ''): CallObserver {
  return {
    begin: ({ protocol, service }) => {
      lines.push(`${name}begin ${protocol} ${service}`);
      return {
        attempt: ({ reason, resendCount }) => {
          lines.push(`${name}attempt ${reason} ${resendCount}`);
          return {
            headers: { [`x-${name}`]: 'y' },
            run: (send) => {
              lines.push(`${name}in`);
              return send();
            },
            end: ({ outcome }) => lines.push(`${name}attempt ${outcome}`),
          };
        },
        retryRefused: () => lines.push(`${name}refused`),
        end: ({ outcome }) => lines.push(`${name}end ${outcome}`),
      };
    },
  };
}

describe('calls that are observed', () => {
  it('have nothing to tell while nobody observes, nor after the last one has left', () => {
    const telemetry = new CallTelemetry(() => {});
    expect(telemetry.begin).toBeUndefined();
    const lines: string[] = [];
    const stop = telemetry.observe(recorder(lines));
    expect(telemetry.begin).toBeDefined();
    stop();
    stop();
    expect(telemetry.begin).toBeUndefined();
    expect(lines).toEqual([]);
  });

  it('are told to each observer, whatever the others do', () => {
    const failures: unknown[] = [];
    const telemetry = new CallTelemetry((error) => failures.push(error));
    const lines: string[] = [];
    const boom = (): never => {
      throw new Error('boom');
    };
    telemetry.observe({ begin: boom });
    telemetry.observe({ begin: () => undefined });
    telemetry.observe({
      begin: () => ({ attempt: () => ({ run: boom, end: boom }), retryRefused: boom, end: boom }),
    });
    telemetry.observe(recorder(lines, 'a'));
    telemetry.observe(recorder(lines, 'b'));
    const call = telemetry.begin?.(CALL);
    const attempt = call?.attempt({ instance, reason: 'first' });
    expect(attempt?.headers).toEqual({ 'x-a': 'y', 'x-b': 'y' });
    let sent = 0;
    expect(attempt?.run(() => (sent += 1))).toBe(1);
    attempt?.end({ outcome: 'failed' });
    call?.retryRefused();
    expect(call?.attempt({ instance, reason: 'retry' })).toBeDefined();
    call?.end({ outcome: 'success' });
    call?.end({ outcome: 'failed' });
    expect(lines.filter((line) => line.startsWith('a')).map((line) => line.slice(1))).toEqual([
      ...['begin http STOCK', 'attempt first 0', 'in', 'attempt failed', 'refused', 'attempt retry 1', 'end success'],
    ]);
    expect(lines.filter((line) => line.startsWith('b'))).toHaveLength(7);
    expect(failures).toHaveLength(5);
  });

  it('are sent once, and fail with their own error, when an observer fails around them', () => {
    const failures: unknown[] = [];
    const telemetry = new CallTelemetry((error) => failures.push(error));
    telemetry.observe({
      begin: () => ({
        attempt: () => ({
          run: (send) => {
            send();
            throw new Error('after it was sent');
          },
        }),
      }),
    });
    const follow = () => telemetry.begin?.(CALL)?.attempt({ instance, reason: 'first' });
    let sent = 0;
    expect(follow()?.run(() => (sent += 1))).toBe(1);
    const own = new Error('own');
    expect(() =>
      follow()?.run(() => {
        throw own;
      }),
    ).toThrow(own);
    expect(failures).toHaveLength(1);
  });
});

describe('the meter', () => {
  it('counts tries and refusals, and measures whole calls', () => {
    let now = 1000;
    const ended: unknown[] = [];
    const meter = new CallMeter({ onEnd: (labels, seconds) => ended.push({ ...labels, seconds }), now: () => now });
    const first = meter.begin(CALL);
    first.attempt?.({ instance, reason: 'first', resendCount: 0 });
    first.attempt?.({ instance, reason: 'retry', resendCount: 1 });
    const second = meter.begin(CALL);
    second.attempt?.({ instance, reason: 'first', resendCount: 0 });
    second.retryRefused?.();
    expect(meter.counts).toMatchObject([
      { service: 'STOCK', active: 2, attempts: { first: 2, retry: 1, hedge: 0 }, retriesRefused: 1 },
    ]);
    now += 250;
    first.end?.({ outcome: 'success', status: 200 });
    second.end?.({ outcome: 'failed', errorType: 'ECONNREFUSED' });
    expect(meter.counts).toMatchObject([{ active: 0 }]);
    meter.flush();
    meter.flush();
    expect(ended).toEqual([
      { service: 'STOCK', outcome: 'success', seconds: 0.25 },
      { service: 'STOCK', outcome: 'failed', errorType: 'ECONNREFUSED', seconds: 0.25 },
    ]);
  });

  it('has bounded labels whatever is called: of 10,000 services most are other, and so are most errors', () => {
    const seen = new Set<string>();
    const errors = new Set<string | undefined>();
    const meter = new CallMeter({
      maxServices: 10,
      onEnd: ({ service, errorType }) => {
        seen.add(service);
        errors.add(errorType);
      },
    });
    for (let i = 0; i < 10_000; i += 1) {
      const call = meter.begin({ protocol: 'http', service: `S${i}` });
      call.attempt?.({ instance, reason: 'first', resendCount: 0 });
      call.end?.({ outcome: 'failed', errorType: `E${i}` });
    }
    expect(seen.size).toBe(11);
    expect(errors.size).toBe(101);
    expect(meter.counts).toHaveLength(11);
    expect(meter.counts.find(({ service }) => service === 'other')).toMatchObject({
      active: 0,
      attempts: { first: 9990 },
    });
  });

  it('keeps room for services that exist, whoever makes up names', () => {
    const meter = new CallMeter({ maxServices: 4, onEnd: () => {} });
    for (let i = 0; i < 1000; i += 1)
      meter.begin({ protocol: 'http', service: `made up ${i}` }).end?.({ outcome: 'discarded' });
    const real = meter.begin({ protocol: 'http', service: 'STOCK' });
    expect(meter.counts.find(({ service }) => service === 'STOCK')).toBeUndefined();
    real.attempt?.({ instance, reason: 'first', resendCount: 0 });
    expect(meter.counts.find(({ service }) => service === 'STOCK')).toMatchObject({
      active: 1,
      attempts: { first: 1 },
    });
    expect(meter.counts.find(({ service }) => service === 'other')).toMatchObject({ active: 0 });
  });

  it('names that are bounded keep what they have', () => {
    const names = new BoundedNames(4);
    expect(['a', 'b', 'c'].map((name) => names.labelOf(name, false))).toEqual(['a', 'b', 'other']);
    expect(['c', 'd', 'e', 'a'].map((name) => names.labelOf(name))).toEqual(['c', 'd', 'other', 'a']);
  });
});
