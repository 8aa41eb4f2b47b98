import type { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { node, service, type Behaviour } from './support.js';

const LIMIT = 64 * 1024 * 1024;
const asBytes = { responseType: 'arraybuffer' } as const;
const bomb = gzipSync(Buffer.alloc(LIMIT + 1));
const fitting = gzipSync(Buffer.alloc(LIMIT));

const large: Behaviour = (request, response) => {
  if (request.url === '/bomb' || request.url === '/fitting') {
    response.setHeader('content-encoding', 'gzip');
    response.end(request.url === '/bomb' ? bomb : fitting);
    return;
  }
  if (request.url === '/error') response.statusCode = 500;
  const piece = Buffer.alloc(1024 * 1024);
  let left = 65;
  const write = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write(piece)) return void response.once('drain', write);
    }
    response.end();
  };
  write();
};

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'answers through $transport',
  (transport) => {
    it.each(['/bomb', '/plain', '/error'])('have at most 64 MB, decoded: %s', async (path) => {
      const { client, runtime } = await service([await node(large)], { ...transport, http: { ejection: false } });
      const plain = runtime.unboundClient().axiosRef;
      const [{ url } = { url: '' }] = await runtime.discovery.getInstances('STOCK');
      for (const call of [
        () => client.axiosRef.get(path, asBytes),
        () => new Promise((resolve, reject) => client.get(path).subscribe({ next: resolve, error: reject })),
        () => plain.get(`lb://STOCK${path}`, asBytes),
        () => plain.get(url + path, asBytes),
      ]) {
        await expect(call()).rejects.toMatchObject({
          code: 'ERR_BAD_RESPONSE',
          message: expect.stringMatching(/maxContentLength size of 67108864 exceeded.*64 MB.*-1.*stream/) as string,
        });
      }
    });

    it('have exactly 64 MB, and more or less when told so', async () => {
      const { client } = await service([await node(large)], { ...transport, http: { ejection: false } });
      expect((await client.axiosRef.get<Buffer>('/fitting', asBytes)).data).toHaveLength(LIMIT);
      const lifted = await client.axiosRef.get<Buffer>('/bomb', { ...asBytes, maxContentLength: -1 });
      expect(lifted.data).toHaveLength(LIMIT + 1);
      await expect(client.axiosRef.get('/fitting', { ...asBytes, maxContentLength: 5 })).rejects.toMatchObject({
        message: 'maxContentLength size of 5 exceeded',
      });
      client.axiosRef.defaults.maxContentLength = -1;
      expect((await client.axiosRef.get<Buffer>('/plain', asBytes)).data).toHaveLength(65 * 1024 * 1024);
    });

    it('have any size when they are read as streams', async () => {
      const { client } = await service([await node(large)], transport);
      for (const path of ['/bomb', '/plain']) {
        const { data } = await client.axiosRef.get<Readable>(path, { responseType: 'stream' });
        let bytes = 0;
        for await (const chunk of data) bytes += (chunk as Buffer).length;
        expect(bytes).toBeGreaterThan(LIMIT);
      }
    });
  },
);
