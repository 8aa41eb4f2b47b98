import { describe, expect, it } from 'vitest';
import type { CallObserver } from '../../../../lib/observability/index.js';
import type { DiscoveryRuntime } from '../../../../lib/nest/discovery-runtime.js';
import { after, answer, calls, node, nodes, refusing, service, silence, status } from './support.js';

const TRANSPORTS = [{ transport: 'undici' }, { transport: 'axios' }] as const;

/** What an observer was told, a line each. */
function observe({ calls: telemetry }: DiscoveryRuntime): string[] {
  const lines: string[] = [];
  const observer: CallObserver = {
    begin: ({ protocol, service: name, method, template }) => {
      lines.push(['begin', protocol, name, method, template].filter((word) => word !== undefined).join(' '));
      return {
        attempt: ({ reason, resendCount }) => {
          lines.push(`${reason} ${resendCount}`);
          return {
            headers: { 'x-trace': `${reason}-${resendCount}` },
            end: ({ outcome, errorType = '-' }) => lines.push(`${reason} ${outcome} ${errorType}`),
          };
        },
        retryRefused: () => lines.push('refused'),
        end: ({ outcome, status: code = '-', errorType = '-' }) => lines.push(`end ${outcome} ${code} ${errorType}`),
      };
    },
  };
  telemetry.observe(observer);
  return lines;
}

describe.each(TRANSPORTS)('a call that is observed, through $transport', (transport) => {
  it('tells its tries and its end, and each try carries what the observer gave it', async () => {
    const traces: unknown[] = [];
    const good = await node((request, response) => {
      traces.push(request.headers['x-trace']);
      answer(request, response);
    });
    const stock = await service([good], transport);
    const lines = observe(stock.runtime);
    await calls(stock, 1);
    await stock.client.axiosRef.get('/', { headers: { 'x-trace': 'own' } });
    expect(lines).toEqual([
      ...['begin http STOCK GET', 'first 0', 'first success -', 'end success 200 -'],
      ...['begin http STOCK GET', 'first 0', 'first success -', 'end success 200 -'],
    ]);
    expect(traces).toEqual(['first-0', 'own']);
  });

  it('tells retries, with their number', async () => {
    const dead = await refusing();
    const good = await node();
    const stock = await service([dead, good], {
      ...transport,
      http: { balancing: (all) => all.find(({ port }) => port === dead.port) },
    });
    const lines = observe(stock.runtime);
    await calls(stock, 1);
    expect(lines).toEqual([
      ...['begin http STOCK GET', 'first 0', 'first failed ECONNREFUSED', 'retry 1', 'retry success -'],
      'end success 200 -',
    ]);
  });

  it.each([
    [404, 'GET'],
    [500, 'POST'],
  ])('an answer of %i is a failure with its status', async (code, method) => {
    const stock = await service(await nodes(1, status(code)), transport);
    const lines = observe(stock.runtime);
    await calls(stock, 1, { method });
    await stock.client.axiosRef.request({ method, url: '/', validateStatus: null });
    expect(lines.filter((line) => line.startsWith('end'))).toEqual(Array(2).fill(`end failed ${code} ${code}`));
  });

  it('tells when the retry budget is used up', async () => {
    const stock = await service(await nodes(2, status(503)), {
      ...transport,
      http: { ejection: false, retry: { budgetShare: 0, budgetPerSecond: 0 } },
    });
    const lines = observe(stock.runtime);
    await calls(stock, 1);
    expect(lines.slice(1)).toEqual(['first 0', 'first failed 503', 'refused', 'end failed 503 503']);
  });

  it('tells hedges, and of the one that was overtaken no failure', async () => {
    const slow = await node(silence);
    const quick = await node(after(10));
    const stock = await service([slow, quick], {
      ...transport,
      http: {
        hedging: { delayMs: 20 },
        balancing: (all, { tried }) =>
          all.find(({ port }) => port === slow.port && tried === undefined) ??
          all.find(({ port }) => port === quick.port),
      },
    });
    const lines = observe(stock.runtime);
    await calls(stock, 1);
    await expect.poll(() => lines).toContain('first discarded OVERTAKEN');
    expect(lines).toEqual(expect.arrayContaining(['first 0', 'hedge 1', 'hedge success -', 'end success 200 -']));
    expect(lines).toHaveLength(6);
  });

  it('is discarded when there is nobody to call, and when its caller gives up', async () => {
    const stock = await service([await node(silence)], transport);
    const lines = observe(stock.runtime);
    const subscription = stock.client.get('/').subscribe({ error: () => {} });
    await expect.poll(() => lines).toContain('first 0');
    subscription.unsubscribe();
    await expect.poll(() => lines.at(-1)).toBe('end discarded - ERR_CANCELED');
    lines.length = 0;
    await expect(stock.runtime.unboundClient().axiosRef.get('lb://NOBODY/')).rejects.toThrow();
    expect(lines).toEqual(['begin http NOBODY GET', 'end discarded - NO_INSTANCE']);
  });

  it('has failed, though a fallback answers in its place', async () => {
    const stock = await service([await refusing()], { ...transport, http: { fallback: () => 'instead' } });
    const lines = observe(stock.runtime);
    expect((await stock.client.axiosRef.get('/')).data).toBe('instead');
    expect(lines.at(-1)).toBe('end failed - ECONNREFUSED');
  });

  it('may be one that the app makes by itself', async () => {
    const stock = await service(await nodes(1), transport);
    const lines = observe(stock.runtime);
    await stock.client.walkNodes('STOCK', () => 42);
    const gone = stock.client.walkNodes('STOCK', () => {
      throw new Error('mine');
    });
    await expect(gone).rejects.toThrow('mine');
    expect(lines.filter((line) => !line.startsWith('first'))).toEqual([
      ...['begin custom STOCK', 'end success - -', 'begin custom STOCK', 'end failed - _OTHER'],
    ]);
  });
});

it('a pick is a call from its beginning until it is told how that ended, once', async () => {
  const stock = await service(await nodes(2));
  const { discovery } = stock.runtime;
  const before = await discovery.pick('STOCK');
  const lines = observe(stock.runtime);
  before.succeeded();
  expect(lines).toEqual([]);
  const good = await discovery.pick('STOCK');
  expect(lines.splice(0)).toEqual(['begin pick STOCK', 'first 0']);
  good.succeeded();
  good.failed(new Error('late'));
  expect(lines.splice(0)).toEqual(['first success -', 'end success - -']);
  const again = await discovery.pick('STOCK', { tried: new Set([good.instance.url]) });
  again.failed(new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } }));
  expect(lines.splice(0).slice(1)).toEqual(['retry 0', 'retry failed ECONNRESET', 'end failed - ECONNRESET']);
  (await discovery.pick('STOCK')).failed(Object.assign(new Error('503'), { response: { status: 503 } }));
  expect(lines.splice(0).at(-1)).toBe('end failed 503 503');
  (await discovery.pick('STOCK')).failed(new DOMException('enough', 'AbortError'));
  expect(lines.splice(0).at(-1)).toBe('end discarded - AbortError');
  (await discovery.pick('STOCK')).cancelled();
  expect(lines.splice(0).slice(2)).toEqual(['first discarded ERR_CANCELED', 'end discarded - ERR_CANCELED']);
  await expect(discovery.pick('NOBODY')).rejects.toThrow();
  expect(lines.splice(0)).toEqual(['begin pick NOBODY', 'end discarded - NO_INSTANCE']);
});

it('an observer that throws is reported, and the call goes on', async () => {
  const stock = await service(await nodes(1));
  stock.runtime.calls.observe({
    begin: () => {
      throw new Error('boom');
    },
  });
  expect(await calls(stock, 1)).toHaveLength(1);
  expect(stock.runtime.events.counts.get('listener.failed')).toBe(1);
});
