import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NacosClient, NacosHttpClient } from '../../../lib/backends/nacos/index.js';
import { makeCertificates } from '../../servers/certificates.js';
import { acquireServer, withServer } from '../../servers/for-tests.js';
import type { RunningServer, TlsFiles } from '../../servers/types.js';
import { Closing, freshName, optionsFor, stays, until } from './support.js';

withServer(
  'nacos',
  { variant: 'auth', settings: { 'nacos.core.auth.plugin.nacos.token.expire.seconds': 4 } },
  (server) => {
    const closing = new Closing();

    it('a token that lives four seconds: renewed ahead, nobody notices', async () => {
      const client = closing.add(new NacosClient(optionsFor(server)));
      await client.start();
      const dataId = freshName('doc');
      await client.config.publishConfig({ dataId, content: 'x' });
      let failures = 0;
      let reads = 0;
      const end = Date.now() + 9000;
      while (Date.now() < end) {
        await client.config.getConfig({ dataId }).catch(() => (failures += 1));
        reads += 1;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      expect(reads).toBeGreaterThan(50);
      expect(failures).toBe(0);
    });

    it('without a password nothing is allowed, with a wrong one neither', async () => {
      const { serverAddresses } = optionsFor(server);
      const options = { ...(serverAddresses === undefined ? {} : { serverAddresses }), noSnapshot: true };
      for (const login of [{}, { username: 'nacos', password: 'wrong' }]) {
        const client = closing.add(new NacosClient({ ...options, ...login }));
        await client.start();
        const refused = { code: 'BACKEND_REFUSED' };
        await expect(client.config.getConfig({ dataId: freshName('doc') })).rejects.toMatchObject(refused);
        const instance = { serviceName: freshName('s'), ip: '1.1.1.1', port: 1 };
        await expect(client.naming.registerInstance(instance)).rejects.toMatchObject(refused);
        const http = closing.add(new NacosHttpClient({ ...options, ...login }));
        await expect(http.getConfig(freshName('doc'))).rejects.toMatchObject(refused);
        await expect(http.addNamingInstance(instance)).rejects.toMatchObject(refused);
      }
    });
  },
);

for (const mutual of [true, false]) {
  describe(`TLS, ${mutual ? "the client's certificate is asked for" : 'with a CA alone'}`, () => {
    const closing = new Closing();
    let folder = '';
    let files: TlsFiles;
    let server: RunningServer | undefined;
    let reason = '';
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'nsd-nacos-tls-'));
      files = await makeCertificates(folder);
      const prefix = 'nacos.remote.server.rpc.tls';
      const acquired = await acquireServer('nacos', {
        variant: 'open',
        settings: {
          [`${prefix}.enableTls`]: true,
          [`${prefix}.compatibility`]: false,
          [`${prefix}.mutualAuthEnable`]: mutual,
          [`${prefix}.certChainFile`]: `file:${files.certFile}`,
          [`${prefix}.certPrivateKey`]: `file:${files.keyFile}`,
          [`${prefix}.trustCollectionCertFile`]: `file:${files.caFile}`,
        },
      });
      if (acquired.available) server = acquired.server;
      else reason = acquired.reason;
    }, 600_000);
    afterAll(async () => {
      await server?.dispose();
      if (folder !== '') rmSync(folder, { recursive: true, force: true });
    });

    it('as files and as text; with anything missing there is no connection', async ({ skip }) => {
      if (server === undefined) return skip(reason);
      const { caFile, certFile, keyFile, ca, cert, key } = files;
      const [right, wrong] = mutual
        ? [
            [
              { caFile, certFile, keyFile },
              { ca, cert, key },
            ],
            [{}, { tls: { ca } }, { tls: { cert, key } }],
          ]
        : [
            [{ caFile }, { ca, servername: 'localhost' }],
            [{}, { tls: {} }, { tls: { ca, servername: 'another.test' } }],
          ];
      for (const tls of right) {
        const client = closing.add(new NacosClient({ ...optionsFor(server), tls }));
        await client.start();
        expect(client.naming.serverHealth()).toBe(true);
        const dataId = freshName('tls');
        await client.config.publishConfig({ dataId, content: 'over TLS' });
        await until(async () => (await client.config.getConfig({ dataId })) === 'over TLS', 'it can be read');
      }
      for (const more of wrong) {
        const client = closing.add(new NacosClient({ ...optionsFor(server), ...more, requestTimeoutMs: 800 }));
        await client.start();
        await stays(() => !client.naming.serverHealth(), 'there is no connection');
        await expect(client.config.getConfig({ dataId: 'a' })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      }
      const missing = new NacosClient({ ...optionsFor(server), tls: { caFile: join(folder, 'none.pem') } });
      closing.add(missing);
      await expect(missing.start()).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'tls.caFile' });
    });
  });
}

withServer('nacos', { variant: 'auth' }, (server) => {
  const closing = new Closing();

  it('HTTPS is verified, unless that is turned off, which is warned of; also through a proxy', async () => {
    const folder = await closing.folder();
    const { ca, cert, key } = await makeCertificates(folder);
    // A real server behind a TLS front, as it usually stands.
    const front = createHttpsServer({ cert, key }, (incoming, outgoing) => {
      const target = new URL(incoming.url ?? '', server.url);
      const forward = httpRequest(target, { method: incoming.method, headers: incoming.headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      forward.on('error', () => outgoing.destroy());
      incoming.pipe(forward);
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    const tunnelled: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (incoming, socket) => {
      tunnelled.push(incoming.url ?? '');
      const [host = '', port = ''] = (incoming.url ?? '').split(':');
      const onward = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        onward.pipe(socket);
        socket.pipe(onward);
      });
      onward.on('error', () => socket.destroy());
      socket.on('error', () => onward.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const portOf = (one: { address(): unknown }): number => (one.address() as { port: number }).port;
      const { username, password } = optionsFor(server);
      const base = {
        serverAddresses: `https://127.0.0.1:${portOf(front)}`,
        ...(username === undefined || password === undefined ? {} : { username, password }),
        noSnapshot: true,
      };
      const get = (more: object): Promise<string | undefined> =>
        closing.add(new NacosHttpClient({ ...base, ...more })).getConfig(freshName('none'));
      await expect(get({})).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect(await get({ tls: { ca } })).toBeUndefined();
      const warnings: string[] = [];
      const ignore = (): void => {};
      const logger = { error: ignore, warn: (line: string) => void warnings.push(line), log: ignore, debug: ignore };
      expect(await get({ tls: { rejectUnauthorized: false }, logger })).toBeUndefined();
      expect(warnings.some((line) => line.includes('not verified'))).toBe(true);
      expect(tunnelled).toEqual([]);
      expect(await get({ tls: { ca }, proxies: { https: `127.0.0.1:${portOf(proxy)}` } })).toBeUndefined();
      expect(tunnelled[0]).toBe(`127.0.0.1:${portOf(front)}`);
      await expect(get({ proxies: { https: `127.0.0.1:${portOf(proxy)}` } })).rejects.toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
      });
    } finally {
      front.closeAllConnections();
      front.close();
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});
