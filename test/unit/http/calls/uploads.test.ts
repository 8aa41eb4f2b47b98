import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { firstValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { httpServer, until, type TestServer } from '../transport/support.js';
import { node, refusing, seen, service, type Behaviour, type Service } from './support.js';

/** Answers the digest of what it was sent. */
const digest: Behaviour = (incoming, response) => {
  const hash = createHash('sha256');
  incoming.on('data', (chunk: Buffer) => hash.update(chunk));
  incoming.on('end', () => response.end(hash.digest('hex')));
};

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Passes uploads on, and answers 502 when that fails. */
function gateway({ client }: Service, config: object = {}): Promise<TestServer> {
  return httpServer((incoming, response) => {
    client.axiosRef
      .request<string>({ method: incoming.method ?? '', url: '/', data: incoming, responseType: 'text', ...config })
      .then(({ data }) => response.end(data))
      .catch((error: { code?: string }) => {
        response.writeHead(502, { connection: 'close' }).end(error.code);
      });
  });
}

/** Sends a part of the body at once and the rest after the answer began, or at once too. */
async function upload(url: string, method: string, body: Buffer, rest?: Buffer): Promise<string> {
  const outgoing = request(url, { method, headers: { 'content-length': body.length + (rest?.length ?? 0) } });
  outgoing.on('error', () => {});
  if (rest === undefined) outgoing.end(body);
  else outgoing.write(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const answer = `${response.statusCode} ${await text(response)}`;
  outgoing.destroy();
  return answer;
}

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'streams sent through $transport',
  (transport) => {
    it('that come from a caller leave him to be answered when nobody takes them', async () => {
      const broken: Behaviour = (incoming) => void incoming.once('data', () => incoming.socket.destroy());
      for (const member of [await refusing(), await node(broken)]) {
        const stock = await service([member], { ...transport, http: { ejection: false } });
        const server = await gateway(stock, { onUploadProgress: () => {} });
        for (const method of ['POST', 'PUT']) {
          const whole = await upload(server.url, method, Buffer.alloc(100_000, 'a'));
          expect(whole).toMatch(/^502 (?:ECONNREFUSED|ECONNRESET|EPIPE)$/);
          const part = await upload(server.url, method, Buffer.alloc(1000, 'a'), Buffer.alloc(1000, 'b'));
          expect(part).toMatch(/^502 (?:ECONNREFUSED|ECONNRESET|EPIPE)$/);
        }
        await server.close();
      }
    });

    it('are sent to another instance when the first one refused', async () => {
      const [dead, live] = [await refusing(), await node(digest)];
      const stock = await service([dead, live], { ...transport, http: { ejection: false } });
      const server = await gateway(stock);
      for (const size of [10, 100_000, 5_000_000]) {
        // Axios has taken more than is kept by the time it knows of no connection.
        if (transport.transport === 'axios' && size > 1_000_000) continue;
        const body = Buffer.alloc(size, 'abc');
        for (let i = 0; i < 12; i += 1) {
          expect(await upload(server.url, i % 2 === 0 ? 'POST' : 'PUT', body)).toBe(`200 ${sha(body)}`);
        }
      }
      await server.close();
      const bytes = Buffer.alloc(70_000, 'xyz');
      for (let i = 0; i < 4; i += 1) {
        const data = Readable.from([bytes, bytes]);
        expect((await stock.client.axiosRef.post<string>('/', data)).data).toBe(sha(Buffer.concat([bytes, bytes])));
      }
    });

    it('are given back as they are when the call is over', async () => {
      const body = new PassThrough();
      body.write('a');
      const stock = await service([await node(digest)], transport);
      const call = stock.client.axiosRef.post('/', body, { timeout: 1000 });
      await expect(call).rejects.toMatchObject({ code: 'ECONNABORTED' });
      await until(() => body.listenerCount('readable') === 0, 'the body to be let go');
      expect(body.destroyed).toBe(false);
      body.end('bc');
      expect(await text(body)).toBe('bc');
    });

    it('that fail before they are read, or when the call is over, end the call and not the process', async () => {
      const gone = Object.assign(new Error('no such file'), { code: 'ENOENT' });
      // Nobody listens but the client: a failure that it misses is an uncaught exception, which fails the run.
      const file = (): Readable => new Readable({ read() {} });
      const live = await node(digest);
      const stock = await service([live], { ...transport, http: { ejection: false } });
      const early = file();
      const call = stock.client.axiosRef.post('/', early);
      early.destroy(gone);
      await expect(call).rejects.toMatchObject({ code: 'ENOENT' });
      const missing = createReadStream('/does/not/exist');
      await expect(stock.client.axiosRef.post('/', missing)).rejects.toMatchObject({ code: 'ENOENT' });
      const plain = stock.runtime.unboundClient().axiosRef.post(live.url, createReadStream('/does/not/exist'));
      await expect(plain).rejects.toMatchObject({ code: 'ENOENT' });
      // The instances aren't known before it fails.
      const unknown = file();
      const waiting = stock.runtime.unboundClient().axiosRef.post('lb://STOCK/', unknown);
      unknown.destroy(gone);
      await expect(waiting).rejects.toMatchObject({ code: 'ENOENT' });
      const late = file();
      const dead = await service([await refusing()], transport);
      await expect(dead.client.axiosRef.post('/', late)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      late.destroy(gone);
      await new Promise((resolve) => late.once('close', resolve));
    });

    it('that break are held against nobody, and sent once', async () => {
      const members = [await node(digest), await node(digest)];
      const stock = await service(members, { ...transport, http: { balancing: 'stick' } });
      for (let i = 0; i < 6; i += 1) {
        const body = new PassThrough();
        body.write('a');
        const call = stock.client.axiosRef.put('/', body);
        setTimeout(() => body.destroy(Object.assign(new Error('gone'), { code: 'ECONNRESET' })), 20);
        await expect(call).rejects.toMatchObject({ code: 'ECONNRESET' });
      }
      expect(seen(...members).toSorted()).toEqual([0, 6]);
      expect(stock.client.instanceStats().map(({ ejected }) => ejected)).toEqual([false, false]);
    });

    it('and bytes get no type that nobody gave them', async () => {
      const types: unknown[] = [];
      const typed = await node((incoming, response) => {
        types.push(incoming.headers['content-type']);
        incoming.resume();
        incoming.on('end', () => response.end());
      });
      const { client } = await service([typed], transport);
      const slow = client.axiosRef.create({ adapter: client.axiosRef.defaults.adapter as never });
      slow.interceptors.request.use((config) => config);
      const post = (data: unknown, headers = {}): Promise<unknown> =>
        firstValueFrom(client.post('/', data, { headers }));
      const bodies = [Buffer.from('a'), new Uint8Array([1]), new ArrayBuffer(1)];
      for (const body of bodies) {
        await post(body);
        await slow.put('/', body);
      }
      await post(Readable.from(['a']));
      await slow.patch('/', Readable.from(['a']));
      expect(types.splice(0)).toEqual(Array.from({ length: 8 }, () => undefined));
      await post(Buffer.from('a'), { 'content-type': 'application/x-own' });
      await post(Readable.from(['a']), { 'content-type': 'application/x-own' });
      await post({ a: 1 });
      await post(new URLSearchParams({ a: '1' }));
      await post(new Blob(['a'], { type: 'text/plain' }));
      expect(types).toEqual([
        'application/x-own',
        'application/x-own',
        'application/json',
        expect.stringContaining('x-www-form-urlencoded'),
        'text/plain',
      ]);
    });

    it('of the old style too', async () => {
      const [dead, live] = [await refusing(), await node(digest)];
      const stock = await service([dead, live], { ...transport, http: { ejection: false } });
      for (let i = 0; i < 4; i += 1) {
        const from = Readable.from(['ab', 'cd']);
        const data = { on: from.on.bind(from), once: from.once.bind(from), pipe: from.pipe.bind(from) };
        expect((await stock.client.axiosRef.post<string>('/', data)).data).toBe(sha(Buffer.from('abcd')));
      }
    });
  },
);
