import { firstValueFrom } from 'rxjs';
import type { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import type { HttpTransport, PooledTransport, ServiceHttpClient } from '../../../../lib/http/index.js';
import { readAll, until } from '../transport/support.js';
import { after, answer, cutOff, node, refusing, reset, service, silence, status, type Behaviour } from './support.js';

const CALLS = 10_000;

const garbage: Behaviour = (request) => {
  request.socket.end('this is not HTTP\r\n\r\n');
};

const endless: Behaviour = (_request, response) => {
  response.write('x'.repeat(100_000));
};

/** What a caller may do, and what the service may do to him. */
const WAYS: Readonly<Record<string, (client: ServiceHttpClient) => Promise<unknown>>> = {
  get: (client) => firstValueFrom(client.get('/')),
  post: (client) => firstValueFrom(client.post('/', { a: 1 })),
  pipeline: (client) => client.axiosRef.put('/', 'text'),
  stream: async (client) => {
    const { data } = await firstValueFrom(client.get<Readable>('/', { responseType: 'stream', timeout: 150 }));
    await readAll(data);
  },
  'stream left': async (client) => {
    const { data } = await firstValueFrom(client.get<Readable>('/', { responseType: 'stream' }));
    data.destroy();
  },
  impatient: (client) => firstValueFrom(client.get('/', { timeout: 5 })),
  'unsubscribed at once': async (client) =>
    client
      .get('/')
      .subscribe({ error: () => {} })
      .unsubscribe(),
  'unsubscribed later': async (client) => {
    const subscription = client.get('/').subscribe({ error: () => {} });
    await new Promise((resolve) => setTimeout(resolve, 2));
    subscription.unsubscribe();
  },
  aborted: (client) => firstValueFrom(client.get('/', { signal: AbortSignal.abort() })),
};

it.each(['undici', 'axios'] as const)(
  'R53: after 10,000 mixed outcomes nothing is under way and no socket is left (%s)',
  async (transport) => {
    const behaviours = [answer, after(3), status(404), status(500), status(503), status(204), reset, cutOff, garbage];
    const members = await Promise.all([...behaviours, silence, endless].map((behaviour) => node(behaviour)));
    const stock = await service(members, {
      transport,
      // Without ejection the failing ones stay in the game; hedges add calls that are overtaken.
      http: { ejection: false, timeoutMs: 100, hedging: { delayMs: 20 }, balancing: 'p2c' },
    });
    const gone = await refusing();
    stock.add(gone);
    await stock.knows(...members, gone);
    const ways = Object.values(WAYS);
    const outcomes = { ended: 0, failed: 0 };
    let started = 0;
    const worker = async (): Promise<void> => {
      while (started < CALLS) {
        const way = ways[started % ways.length];
        started += 1;
        await way?.(stock.client).then(
          () => (outcomes.ended += 1),
          () => (outcomes.failed += 1),
        );
      }
    };
    await Promise.all(Array.from({ length: 60 }, worker));
    expect(outcomes.ended + outcomes.failed).toBe(CALLS);
    expect(Math.min(outcomes.ended, outcomes.failed)).toBeGreaterThan(CALLS / 20);

    const pending = (): number[] => stock.client.instanceStats().map((instance) => instance.pending);
    expect(pending()).toHaveLength(members.length + 1);
    await until(() => pending().every((count) => count === 0), `${String(pending())} calls to end`);
    if (isPooled(stock.runtime.transport)) expect(stock.runtime.transport.stats.inFlight).toBe(0);
    await stock.runtime.close();
    await until(() => members.every(({ server }) => server.open === 0), 'every socket to be closed');
  },
  300_000,
);

function isPooled(transport: HttpTransport): transport is PooledTransport {
  return 'stats' in transport;
}
