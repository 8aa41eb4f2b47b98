import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import axios from 'axios';
import * as jose from 'jose';
import { describe, expect, it } from 'vitest';
import { asabTools, discoverable, INTERNAL_KEY_PATH } from '../../../lib/backends/zookeeper/index.js';
import { AsabTokenVerifier } from '../../../lib/backends/zookeeper/asab/asab.tokens.js';
import { createRegistration } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { freshName } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { Opened, toolsOf, until, type TestBackend } from './support.js';

withServer('zookeeper', {}, (server) => {
  const opened = new Opened();
  /** Each test has a key of its own: the key's path is fixed, but below the chroot. */
  const freshRoot = (): string => `${server.url}/${freshName('auth')}`;

  describe('internal authorization', () => {
    it('of many who create the key at once one wins, and all sign with it', async () => {
      const root = freshRoot();
      const backends = await Promise.all(Array.from({ length: 5 }, () => opened.asab(root, {})));
      const tokens = await Promise.all(backends.map((test) => toolsOf(test).internal.token()));
      const kids = new Set(tokens.map((token) => jose.decodeProtectedHeader(token).kid));
      expect(kids.size).toBe(1);
      const created = backends
        .flatMap((test) => test.log.of('log'))
        .filter((line) => /created the internal key/.test(line));
      expect(created).toHaveLength(1);
      for (const test of backends) {
        for (const token of tokens) await expect(toolsOf(test).internal.verify(token)).resolves.toBeDefined();
      }
    });

    it('the token has the header and the claims of the document', async () => {
      const root = freshRoot();
      const test = await opened.asab(root, { instanceId: 'my-app-1', host: 'server-name-1' });
      await test.backend.registry.register(createRegistration({ service: 'my-app', host: '127.0.0.1', port: 80 }))
        .registered;
      const token = await toolsOf(test).internal.token();
      const found = await (await opened.client(root)).getData(INTERNAL_KEY_PATH);
      const key = JSON.parse(found?.data.toString() ?? '') as jose.JWK & { kid: string };
      expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', kid: expect.stringMatching(/^[0-9a-f]{32}$/) });
      expect(found?.stat.owner).toBeUndefined();
      expect(jose.decodeProtectedHeader(token)).toEqual({ alg: 'ES256', typ: 'JWT', kid: key.kid });
      const { d: _, ...publicKey } = key;
      const { payload } = await jose.jwtVerify(token, await jose.importJWK(publicKey, 'ES256'));
      expect(payload).toEqual({
        iss: 'http://my-app-1.instance_id.asab',
        azp: 'http://my-app-1.instance_id.asab',
        aud: 'http://server-name-1',
        resources: { '*': ['authz:superuser'] },
        iat: expect.any(Number),
        exp: expect.any(Number),
      });
      expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(1500);
      const secrets = [key.d ?? 'x', token];
      for (const { message } of test.log.lines) for (const secret of secrets) expect(message).not.toContain(secret);
    });

    it('a key without an id, as older ASAB writes it, gives a header with kid null; one that is none an error', async () => {
      const root = freshRoot();
      const client = await opened.client(root);
      const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
      await client.create(INTERNAL_KEY_PATH, Buffer.from(JSON.stringify(await jose.exportJWK(privateKey))));
      const test = await opened.asab(root, {});
      const token = await toolsOf(test).internal.token();
      expect(jose.decodeProtectedHeader(token)).toEqual({ alg: 'ES256', typ: 'JWT', kid: null });
      await client.setData(INTERNAL_KEY_PATH, Buffer.from('{"kty":"oct","k":"very-secret"}'));
      const other = await opened.asab(root, {});
      const error: unknown = await toolsOf(other)
        .internal.token()
        .catch((problem: unknown) => problem);
      expect(error).toMatchObject({ code: 'BACKEND_REFUSED', message: expect.stringContaining('is no EC P-256 key') });
      expect(String(error)).not.toContain('very-secret');
    });

    it('a changed key gives a new token, also when it changed while we were cut off', async () => {
      const proxy = await server.proxy();
      opened.add(() => proxy.close());
      const chroot = `/${freshName('auth')}`;
      const test = await opened.asab(proxy.url + chroot, {});
      const { internal } = toolsOf(test);
      const first = await internal.token();
      expect(await internal.token()).toBe(first);
      const client = await opened.client(server.url + chroot);
      const replace = async (): Promise<void> => {
        const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
        await client.setData(INTERNAL_KEY_PATH, Buffer.from(JSON.stringify(await jose.exportJWK(privateKey))));
      };
      await replace();
      const second = await until(async () => {
        const token = await internal.token();
        return token === first ? undefined : token;
      }, 'the watch brings the new key');
      await proxy.drop();
      await replace();
      // The key that was known serves on.
      expect(await internal.token()).toBe(second);
      await proxy.heal();
      await until(async () => (await internal.token()) !== second, 'the connection brings the new key');
      await expect(internal.verify(first)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
    });

    it('is renewed before it ends, by itself', async () => {
      const clock = new ManualClock(Date.now());
      const root = freshRoot();
      const test = await opened.asab(root, {}, {}, { clock });
      // The session's own timers stand still with this clock; requests don't need them.
      const { internal } = toolsOf(test);
      const first = await internal.token();
      await clock.advance(800_000);
      expect(await internal.token()).toBe(first);
      await clock.advance(200_000);
      const second = await until(async () => {
        const token = await internal.token();
        return token === first ? undefined : token;
      }, 'it is renewed');
      expect(jose.decodeJwt(second).exp).toBeGreaterThan(jose.decodeJwt(first).exp ?? 0);
      expect((jose.decodeJwt(first).exp ?? 0) * 1000).toBeGreaterThan(clock.now());
      await expect(internal.verify(first)).resolves.toBeDefined();
      await clock.advance(600_000);
      await expect(internal.verify(first)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
    });

    it('tokens that somebody made up are refused', async () => {
      const { internal } = toolsOf(await opened.asab(freshRoot(), {}));
      const token = await internal.token();
      const [head, body, signature] = token.split('.');
      const forged = [
        `${head}.${Buffer.from('{"exp":9999999999}').toString('base64url')}.${signature}`,
        `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`,
        'nonsense',
        await new jose.SignJWT({ exp: 9_999_999_999 }).setProtectedHeader({ alg: 'HS256' }).sign(new Uint8Array(32)),
      ];
      for (const one of forged) await expect(internal.verify(one)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
    });
  });

  describe('the authorization of calls', () => {
    const withEcho = async (options = {}): Promise<{ test: TestBackend; url: string }> => {
      const echo = createServer((request, response) => {
        response.setHeader('connection', 'close');
        response.end(JSON.stringify({ authorization: request.headers.authorization ?? null }));
      });
      await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
      opened.add(() => new Promise((resolve) => echo.close(resolve)));
      const test = await opened.asab(freshRoot(), { ...options });
      const { port } = echo.address() as AddressInfo;
      await test.backend.registry.register(createRegistration({ service: 'echo', host: '127.0.0.1', port })).registered;
      await until(async () => (await toolsOf(test).discovery.locate({ service_id: 'echo' })).size === 1, 'it is found');
      return { test, url: 'http://echo.service_id.asab/' };
    };
    const answerOf = async (call: Promise<{ data: unknown }>): Promise<unknown> =>
      ((await call).data as { authorization: unknown }).authorization;

    it('is the incoming request’s by default, none when that has none, and one’s own wins', async () => {
      const { test, url } = await withEcho();
      const client = discoverable(axios.create(), test.backend);
      const { authorization } = toolsOf(test);
      expect(await answerOf(client.get(url))).toBeNull();
      const incoming = { headers: { authorization: 'Bearer of-the-user' } };
      expect(
        await authorization.within(incoming, async () => {
          await delay(1);
          return answerOf(client.get(url));
        }),
      ).toBe('Bearer of-the-user');
      expect(await authorization.within({ headers: {} }, () => answerOf(client.get(url)))).toBeNull();
      const own = { headers: { Authorization: 'Basic own' } };
      expect(await authorization.within(incoming, () => answerOf(client.get(url, own)))).toBe('Basic own');
    });

    it('is a given request’s, which must have one; anything else is refused', async () => {
      const { test, url } = await withEcho();
      const { authorization } = toolsOf(test);
      const given = discoverable(axios.create(), test.backend, {
        auth: { headers: { authorization: 'Bearer given' } },
      });
      expect(await answerOf(given.get(url))).toBe('Bearer given');
      expect(
        await authorization.headersFor(new Request('http://x/', { headers: { authorization: 'Bearer web' } })),
      ).toEqual({
        authorization: 'Bearer web',
      });
      const none = discoverable(axios.create(), test.backend, { auth: { headers: {} } });
      await expect(none.get(url)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('has none'),
      });
      for (const bad of ['external', 5, {}, null, []]) {
        await expect(authorization.headersFor(bad as never)).rejects.toMatchObject({
          code: 'INVALID_OPTION',
          field: 'auth',
        });
      }
      await expect(authorization.headersFor('se-cret' as never)).rejects.not.toThrow(/se-cret/);
    });

    it('`internal` is a token of the cluster, with one warning within an authorized request', async () => {
      const { test, url } = await withEcho();
      const { authorization, internal } = toolsOf(test);
      const client = discoverable(axios.create(), test.backend, { auth: 'internal' });
      const token = String(await answerOf(client.get(url))).replace('Bearer ', '');
      expect((await internal.verify(token))['resources']).toEqual({ '*': ['authz:superuser'] });
      const warnings = (): number => test.log.of('warn').filter((line) => /superuser/.test(line)).length;
      expect(warnings()).toBe(0);
      const incoming = { headers: { authorization: 'Bearer of-the-user' } };
      await authorization.within(incoming, () => client.get(url));
      await authorization.within(incoming, () => client.get(url));
      expect(warnings()).toBe(1);
    });

    it('the app’s own clients have it as the layout says, for instances found here only', async () => {
      const { test } = await withEcho({ authorization: 'internal' });
      const { backend } = test;
      const instance = { service: 's', backend: backend.name } as never;
      expect((await backend.callAuthorizer?.headers(instance))?.['authorization']).toMatch(/^Bearer ey/);
      expect(await backend.callAuthorizer?.headers({ service: 's', backend: 'consul' } as never)).toEqual({});
    });
  });

  describe('tokens of users', () => {
    it('are checked with public keys that are fetched from a discovered address', async () => {
      const { privateKey, publicKey } = await jose.generateKeyPair('RS256');
      const jwk = { ...(await jose.exportJWK(publicKey)), kid: 'user-key', alg: 'RS256' };
      let asked = 0;
      const keys = createServer((request, response) => {
        asked += 1;
        response.statusCode = request.url === '/.well-known/jwks.json' ? 200 : 404;
        response.setHeader('connection', 'close');
        response.end(JSON.stringify({ keys: [jwk] }));
      });
      await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
      opened.add(() => new Promise((resolve) => keys.close(resolve)));
      const { port } = keys.address() as AddressInfo;
      const test = await opened.asab(freshRoot(), {});
      const verifier = new AsabTokenVerifier(asabTools(test.backend), {
        publicKeysUrl: 'http://seacat-auth.service_id.asab/.well-known/jwks.json',
      });
      const sign = (claims: object): Promise<string> =>
        new jose.SignJWT({ ...claims }).setProtectedHeader({ alg: 'RS256', kid: 'user-key' }).sign(privateKey);
      const now = Math.floor(Date.now() / 1000);
      const good = `Bearer ${await sign({ sub: 'alice', exp: now + 100 })}`;
      await expect(verifier.verify(good)).rejects.toMatchObject({ code: 'NO_INSTANCE' });
      await test.backend.registry.register(createRegistration({ service: 'seacat-auth', host: '127.0.0.1', port }))
        .registered;
      await until(async () => (await toolsOf(test).discovery.locate({ service_id: 'seacat-auth' })).size > 0, 'found');
      expect(await verifier.verify(good)).toMatchObject({ internal: false, claims: { sub: 'alice' } });
      await verifier.verify(good);
      expect(asked).toBe(1);
      const internal = `Bearer ${await toolsOf(test).internal.token()}`;
      expect((await verifier.verify(internal)).internal).toBe(true);
      for (const bad of [
        `Bearer ${await sign({ sub: 'bob', exp: now - 100 })}`,
        `Bearer ${await sign({ sub: 'bob' })}`,
        'Bearer x.y.z',
        'Basic abc',
        undefined,
      ]) {
        await expect(verifier.verify(bad)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
      }
    });
  });
});
