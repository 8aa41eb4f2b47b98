import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable, type Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { EventSource, fetch as undiciFetch, request, stream, WebSocket, type Dispatcher } from 'undici';
import { serviceDispatcher } from '../../../../lib/integrations/fetch/index.js';
import { switching } from '../../../servers/switching.js';
import { node, nodes, refusing, reset, seen, service, status, type Service } from '../calls/support.js';

const dispatcherOf = (stock: Service): Dispatcher => serviceDispatcher(stock.runtime.unboundClient());
const pending = ({ client }: Service): number => client.instanceStats().reduce((sum, one) => sum + one.pending, 0);

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that echoes text frames of at most 125 bytes to WebSockets. */
async function echoingSocket(behaviour: RequestListener = (_request, response) => void response.end()) {
  const sockets: Duplex[] = [];
  const server = createServer(behaviour);
  servers.push(server);
  server.on('upgrade', (request, socket: Duplex) => {
    sockets.push(socket);
    socket.write(switching(request));
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.on('data', (frame: Buffer) => {
      if (((frame[0] ?? 0) & 0x0f) !== 1) {
        socket.end(Buffer.from([0x88, 0]));
        return;
      }
      const length = (frame[1] ?? 0) & 0x7f;
      const payload = Buffer.from(frame.subarray(6, 6 + length)).map((byte, at) => byte ^ (frame[2 + (at % 4)] ?? 0));
      socket.write(Buffer.concat([Buffer.from([0x81, length]), payload]));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port, sockets };
}

async function opened(url: string, dispatcher: Dispatcher): Promise<WebSocket> {
  const socket = new WebSocket(url, { dispatcher });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', reject);
  });
  return socket;
}

describe('a dispatcher', () => {
  test('serves undici’s request, stream, pipeline and fetch, and Node’s own', async () => {
    const members = await nodes(2);
    const stock = await service(members);
    const dispatcher = dispatcherOf(stock);
    const chunks: Buffer[] = [];
    const factory = () => new Writable({ write: (chunk: Buffer, _encoding, done) => (chunks.push(chunk), done()) });
    for (let i = 0; i < 4; i += 1) {
      const { body, statusCode } = await request('http://stock/a', { dispatcher });
      expect([statusCode, await body.json()]).toEqual([200, { port: expect.any(Number) }]);
      await (await undiciFetch('http://STOCK/a', { dispatcher })).json();
      await (await fetch('http://stock', { dispatcher } as object)).json();
      await stream('http://stock/a', { dispatcher, method: 'GET' }, factory);
      await (await dispatcher.request({ origin: 'http://stock', path: '/', method: 'GET' })).body.dump();
    }
    expect(seen(...members)).toEqual([10, 10]);
    expect(chunks).toHaveLength(4);
    expect(pending(stock)).toBe(0);
  });

  test('finds a service in whatever case, and leaves other hosts alone', async () => {
    const member = await node();
    const stock = await service([member]);
    stock.registry.addInstance('Price.List', { port: member.port });
    const dispatcher = serviceDispatcher(stock.runtime.unboundClient());
    expect((await request('http://price.list/', { dispatcher })).statusCode).toBe(200);
    expect((await request(`http://127.0.0.1:${member.port}/`, { dispatcher })).statusCode).toBe(200);
    expect((await request(`http://localhost:${member.port}/`, { dispatcher })).statusCode).toBe(200);
    await expect(request('http://nobody/', { dispatcher })).rejects.toMatchObject({ code: 'NO_INSTANCE' });
    stock.registry.addInstance('NOBODY', { port: member.port });
    await expect(request('http://host.invalid/', { dispatcher })).rejects.toMatchObject({
      code: /ENOTFOUND|EAI_AGAIN/,
    });
  });

  test('of a bound client stays in its service', async () => {
    const stock = await service(await nodes(1));
    const dispatcher = serviceDispatcher(stock.client);
    expect((await request('http://stock/', { dispatcher })).statusCode).toBe(200);
    for (const url of ['http://orders/', 'http://127.0.0.1:80/', 'http://stock:81/']) {
      await expect(request(url, { dispatcher })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    }
  });

  test('tries elsewhere what is safe, and gives the last answer', async () => {
    const members = [await refusing(), await node(reset), await node(status(503)), await node()];
    const stock = await service(members, {
      http: { balancing: ([first]) => first, maxAttempts: 'all', ejection: false },
    });
    const dispatcher = dispatcherOf(stock);
    expect((await request('http://stock/', { dispatcher })).statusCode).toBe(200);
    expect((await request('http://stock/', { dispatcher, method: 'PUT', body: 'text' })).statusCode).toBe(200);
    const two = await service([await refusing(), await node(reset)], { http: { balancing: ([first]) => first } });
    await expect(
      request('http://stock/', { dispatcher: dispatcherOf(two), method: 'POST', body: 'text' }),
    ).rejects.toMatchObject({
      code: 'UND_ERR_SOCKET',
      attempts: [{ code: 'ECONNREFUSED' }, { code: 'UND_ERR_SOCKET' }],
    });
    const bad = await service([await node(status(503, { 'retry-after': '1' }))]);
    const answer = await request('http://stock/', { dispatcher: dispatcherOf(bad) });
    expect([answer.statusCode, await answer.body.text()]).toEqual([503, '503']);
  });

  test('bounds the time until an answer begins', async () => {
    const stock = await service([await node(() => {})], { http: { timeoutMs: 300 } });
    await expect(request('http://stock/', { dispatcher: dispatcherOf(stock) })).rejects.toMatchObject({
      code: 'UND_ERR_HEADERS_TIMEOUT',
    });
    expect(pending(stock)).toBe(0);
  });

  test('speaks to handlers of the newer kind, with their controller', async () => {
    const stock = await service([await node((_request, response) => void response.end('x'.repeat(200_000)))]);
    const told: string[] = [];
    let bytes = 0;
    await new Promise<void>((resolve, reject) => {
      interface Controller {
        readonly rawHeaders: Buffer[];
        pause(): void;
        resume(): void;
      }
      const handler = {
        onRequestStart: () => void told.push('start'),
        onResponseStart: (controller: Controller, code: number, headers: Record<string, string>) => {
          told.push(`${code} ${headers['content-length']} ${controller.rawHeaders.length > 0}`);
          controller.pause();
          setTimeout(() => controller.resume(), 10);
        },
        onResponseData: (_controller: Controller, chunk: Buffer) => void (bytes += chunk.length),
        onResponseEnd: () => resolve(),
        onResponseError: (_controller: Controller, error: Error) => reject(error),
      };
      dispatcherOf(stock).dispatch({ origin: 'http://stock', path: '/', method: 'GET' }, handler as never);
    });
    expect(told).toEqual(['start', '200 200000 true']);
    expect(bytes).toBe(200_000);
    const failed = await new Promise<Error>((resolve) => {
      const handler = { onRequestStart: () => {}, onResponseError: (_: unknown, error: Error) => resolve(error) };
      dispatcherOf(stock).dispatch({ origin: 'http://other', path: '/', method: 'GET' }, handler);
    });
    expect(failed).toMatchObject({ code: 'NO_INSTANCE' });
  });

  test('refuses what undici refuses, and is over when it was closed', async () => {
    const stock = await service(await nodes(1));
    const dispatcher = dispatcherOf(stock);
    await request('http://stock/', { dispatcher });
    await expect(request('http://stock/', { dispatcher, headers: { 'bad name': '1' } })).rejects.toMatchObject({
      code: 'UND_ERR_INVALID_ARG',
    });
    expect(pending(stock)).toBe(0);
    await dispatcher.close();
    await expect(request('http://stock/', { dispatcher })).rejects.toMatchObject({ code: 'UND_ERR_CLOSED' });
    expect((await stock.client.fetch('/')).status).toBe(200);
  });
});

describe('a dispatcher that ends', () => {
  test('by close() waits for what it has begun', async () => {
    let release = (): void => {};
    const slow = await node((_request, response) => void (release = () => response.end('late')));
    const dispatcher = dispatcherOf(await service([slow]));
    const asked = request('http://stock/', { dispatcher }).then(({ body }) => body.text());
    await expect.poll(() => slow.hits).toBe(1);
    const events: string[] = [];
    const closed = dispatcher.close().then(() => events.push('closed'));
    await expect(request('http://stock/', { dispatcher })).rejects.toMatchObject({ code: 'UND_ERR_CLOSED' });
    expect(events).toEqual([]);
    release();
    expect(await asked).toBe('late');
    await closed;
    await new Promise<void>((resolve) => dispatcher.close(resolve));
    expect(slow.hits).toBe(1);
  });

  test('by destroy() ends it, whether it was sent or not, and leaves nothing', async () => {
    const silent = await node(() => {});
    const stock = await service([silent]);
    for (const [error, code] of [
      [undefined, 'UND_ERR_DESTROYED'],
      [Object.assign(new Error('enough'), { code: 'ENOUGH' }), 'ENOUGH'],
    ] as const) {
      const dispatcher = dispatcherOf(stock);
      silent.hits = 0;
      const sent = request('http://stock/', { dispatcher }).catch((failed: unknown) => failed);
      await expect.poll(() => silent.hits).toBe(1);
      const unsent = request('http://stock/', { dispatcher }).catch((failed: unknown) => failed);
      await dispatcher.destroy(error ?? null);
      for (const failed of await Promise.all([sent, unsent])) expect(failed).toMatchObject({ code });
      await expect(request('http://stock/', { dispatcher })).rejects.toMatchObject({ code: 'UND_ERR_DESTROYED' });
      await expect(dispatcher.close()).rejects.toMatchObject({ code: 'UND_ERR_DESTROYED' });
      await dispatcher.destroy();
    }
    await expect.poll(() => pending(stock)).toBe(0);
  });
});

describe('what lasts', () => {
  test('a WebSocket that breaks off counts as a failure of its instance', async () => {
    const { port, sockets } = await echoingSocket();
    const stock = await service([]);
    stock.registry.addInstance('STOCK', { port });
    await expect.poll(() => stock.runtime.discovery.getInstances('STOCK')).toHaveLength(1);
    const socket = await opened('ws://stock/a', dispatcherOf(stock));
    const closed = once(socket, 'close');
    sockets[0]?.destroy();
    expect((await closed)[0]).toMatchObject({ code: 1006 });
    await expect.poll(() => pending(stock)).toBe(0);
    expect(stock.client.instanceStats()[0]?.health).toBeLessThan(1);
  });

  test('a WebSocket counts as under way until it is closed, and is no failure when the server closes it', async () => {
    const [one, other] = [await echoingSocket(), await echoingSocket()];
    const stock = await service([], { http: { balancing: 'least-pending' } });
    for (const { port } of [one, other]) stock.registry.addInstance('STOCK', { port });
    await expect.poll(() => stock.runtime.discovery.getInstances('STOCK')).toHaveLength(2);
    const dispatcher = dispatcherOf(stock);
    const sockets = [await opened('ws://stock/a', dispatcher), await opened('ws://stock/a', dispatcher)];
    expect([one.sockets.length, other.sockets.length]).toEqual([1, 1]);
    expect(pending(stock)).toBe(2);
    const heard = once(sockets[0] as WebSocket, 'message');
    sockets[0]?.send('hello');
    expect((await heard)[0]).toMatchObject({ data: 'hello' });
    sockets[0]?.close();
    await expect.poll(() => pending(stock)).toBe(1);
    for (const socket of [...one.sockets, ...other.sockets]) socket.end(Buffer.from([0x88, 0]));
    await expect.poll(() => pending(stock)).toBe(0);
    expect(stock.client.instanceStats().map(({ health }) => health)).toEqual([1, 1]);
  });

  test('is closed when the app stops: a WebSocket, and a stream of events', async () => {
    let ended = 0;
    const { port, sockets } = await echoingSocket((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: one\n\n');
      response.on('close', () => (ended += 1));
    });
    const stock = await service([]);
    stock.registry.addInstance('STOCK', { port });
    await expect.poll(() => stock.runtime.discovery.getInstances('STOCK')).toHaveLength(1);
    const dispatcher = dispatcherOf(stock);
    await opened('ws://stock/', dispatcher);
    const events = new EventSource('http://stock/events', { node: { dispatcher } });
    const event = await new Promise<MessageEvent>((resolve) => events.addEventListener('message', resolve as never));
    expect(event.data).toBe('one');
    const read = await stock.client.fetch('/events');
    expect(pending(stock)).toBe(3);
    expect(stock.runtime.lasting.count).toBe(3);
    events.close();
    await expect.poll(() => pending(stock)).toBe(2);
    stock.runtime.lasting.closeAll();
    await expect(read.text()).rejects.toThrow('terminated');
    await expect.poll(() => [ended, sockets.every(({ destroyed }) => destroyed)]).toEqual([2, true]);
    expect([pending(stock), stock.runtime.lasting.count]).toEqual([0, 0]);
  });
});
