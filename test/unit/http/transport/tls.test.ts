import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificate } from './certificate.js';
import { openPath, type Path } from './support.js';

const pair = certificate();

describe.skipIf(pair === undefined).each(['axios', 'adapter', 'direct'] as const)(
  'https by %s (needs openssl)',
  (name) => {
    let server: Server;
    let port: number;
    const paths: Path[] = [];

    beforeAll(async () => {
      server = createServer({ ...pair }, (_, response) => response.end('"secret"')).listen(0);
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
    });
    afterAll(async () => {
      await Promise.all(paths.map((path) => path.close()));
      server.closeAllConnections();
      server.close();
    });

    const call = (host: string, tls: object): Promise<unknown> => {
      const path = openPath(name, {}, { tls });
      paths.push(path);
      return path.request({ url: `https://${host}:${port}/`, timeout: 5000 });
    };

    it('trusts what it is told to trust', async () => {
      expect(await call('localhost', { ca: pair?.cert })).toMatchObject({ data: 'secret' });
    });

    it('trusts nobody else', async () => {
      await expect(call('localhost', {})).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    });

    it('refuses a certificate for another name', async () => {
      await expect(call('127.0.0.1', { ca: pair?.cert })).rejects.toMatchObject({
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      });
    });
  },
);
