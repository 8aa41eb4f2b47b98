import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConsulClient, ConsulError } from '../../../lib/backends/consul/index.js';
import { withServer } from '../../servers/for-tests.js';
import { startAgent, type OwnAgent } from './support/own-agents.js';
import { fresh, until } from './support/wait.js';

withServer('consul', { variant: 'acl' }, (server) => {
  let consul: ConsulClient;
  let root: string;
  beforeAll(() => {
    root = server.token ?? '';
    consul = new ConsulClient({ address: server.url, token: root });
  });
  afterAll(() => consul.close());

  describe('ACL', () => {
    it('CO-19 to CO-24 CO-26 policies with rules, tokens that have them, clones', async () => {
      const prefix = fresh('acl');
      const rules = `key_prefix "${prefix}/" { policy = "read" }\nkey_prefix "${prefix}/private/" { policy = "deny" }`;
      const policy = await consul.acl.policies.create({ Name: prefix, Rules: rules, Description: 'by a test' });
      expect(policy.Rules).toBe(rules);
      const token = await consul.acl.tokens.create({ Description: 'my-app-token', Policies: [{ Name: prefix }] });
      await consul.kv.set(`${prefix}/open`, 'x');
      await consul.kv.set(`${prefix}/private/x`, 'y');
      expect((await consul.kv.get(`${prefix}/open`, { token }))[0]?.Value.toString()).toBe('x');
      expect((await consul.kv.getTree(prefix, { token: token.SecretID }))[0]).toHaveLength(1);
      expect((await consul.kv.getTree(prefix, { token }))[1].ResultsFilteredByACLs).toBe(true);
      await expect(consul.kv.get(`${prefix}/private/x`, { token })).rejects.toMatchObject({
        name: 'ConsulError',
        kind: 'unauthorized',
      });
      await expect(consul.kv.set(`${prefix}/open`, 'z', { token })).rejects.toMatchObject({ status: 403 });
      const forbidden = consul.prepare().set(`${prefix}/open`, 'z').execute({ token });
      await expect(forbidden).rejects.toMatchObject({ name: 'ConsulError', kind: 'unauthorized' });

      const [info, meta] = await consul.acl.tokens.info(token);
      expect(info).toMatchObject({ AccessorID: token.AccessorID, Description: 'my-app-token' });
      expect(meta.Index).not.toBe('0');
      const clone = await consul.acl.tokens.clone(token.AccessorID, { description: 'a clone' });
      expect(clone.AccessorID).not.toBe(token.AccessorID);
      expect((await consul.kv.get(`${prefix}/open`, { token: clone }))[0]?.Value.toString()).toBe('x');
      expect((await consul.acl.tokens.self({ token: clone }))[0].Description).toBe('a clone');

      const write = `key_prefix "${prefix}/" { policy = "write" }`;
      await consul.acl.policies.update({ ...policy, Rules: write });
      expect((await consul.acl.policies.info(policy))[0].Rules).toBe(write);
      expect((await consul.acl.policies.byName(prefix))[0].ID).toBe(policy.ID);
      const changed = await consul.acl.tokens.update({ ...info, Description: 'changed', Policies: [] });
      expect(changed.Description).toBe('changed');
      expect(changed.Policies ?? []).toEqual([]);
      const [tokens] = await consul.acl.tokens.list();
      expect(tokens.map((one) => one.AccessorID)).toEqual(expect.arrayContaining([token.AccessorID, clone.AccessorID]));
      expect((await consul.acl.tokens.list({ policy: policy.ID }))[0].map((one) => one.AccessorID)).toEqual([
        clone.AccessorID,
      ]);
      expect((await consul.acl.policies.list())[0].map((one) => one.Name)).toContain(prefix);
      expect(await consul.acl.tokens.destroy(token)).toBe(true);
      expect(await consul.acl.tokens.destroy(clone)).toBe(true);
      // 403 "ACL not found" of this version, 404 of others.
      await expect(consul.acl.tokens.info(token)).rejects.toBeInstanceOf(ConsulError);
      expect(await consul.acl.policies.destroy(policy)).toBe(true);
    });

    it('roles', async () => {
      const name = fresh('role');
      const role = await consul.acl.roles.create({ Name: name, Policies: [{ Name: 'global-management' }] });
      const token = await consul.acl.tokens.create({ Roles: [{ ID: role.ID }], ExpirationTTL: '2m' });
      expect(await consul.members.list({ token })).toHaveLength(1);
      expect(token.ExpirationTime).toBeDefined();
      await consul.acl.roles.update({ ...role, Description: 'changed' });
      expect((await consul.acl.roles.info(role.ID))[0].Description).toBe('changed');
      expect((await consul.acl.roles.byName(name))[0].ID).toBe(role.ID);
      expect((await consul.acl.roles.list())[0].map((one) => one.Name)).toContain(name);
      await consul.acl.tokens.destroy(token);
      expect(await consul.acl.roles.destroy(role)).toBe(true);
    });

    it('auth methods, binding rules, and a login that is refused', async () => {
      const name = fresh('jwt');
      const { readJwtKeys } = await import('./support/jwt.js');
      const { publicPem, sign } = await readJwtKeys();
      await consul.acl.authMethods.create({
        Name: name,
        Type: 'jwt',
        MaxTokenTTL: '5m',
        Config: { JWTValidationPubKeys: [publicPem], BoundIssuer: 'test', ClaimMappings: { sub: 'who' } },
      });
      expect((await consul.acl.authMethods.info({ Name: name }))[0].Type).toBe('jwt');
      expect((await consul.acl.authMethods.list())[0].map((one) => one.Name)).toContain(name);
      const rule = await consul.acl.bindingRules.create({
        AuthMethod: name,
        BindType: 'service',
        BindName: 'svc-${value.who}',
      });
      expect((await consul.acl.bindingRules.info(rule))[0].AuthMethod).toBe(name);
      expect((await consul.acl.bindingRules.list())[0].map((one) => one.ID)).toContain(rule.ID);
      await consul.acl.bindingRules.update({ ...rule, Description: 'changed' });
      const token = await consul.acl.login({
        AuthMethod: name,
        BearerToken: await sign({ sub: 'orders', iss: 'test' }),
      });
      expect(token.ServiceIdentities).toMatchObject([{ ServiceName: 'svc-orders' }]);
      expect(await consul.acl.logout({ token })).toBe(true);
      const refused = consul.acl.login({ AuthMethod: name, BearerToken: await sign({ sub: 'x', iss: 'other' }) });
      // 500 of this version.
      await expect(refused).rejects.toBeInstanceOf(ConsulError);
      await consul.acl.authMethods.update({ Name: name, Type: 'jwt', Config: { JWTValidationPubKeys: [publicPem] } });
      expect(await consul.acl.bindingRules.destroy(rule)).toBe(true);
      expect(await consul.acl.authMethods.destroy(name)).toBe(true);
    });

    it('CO-25 replication, and what a token may', async () => {
      expect((await consul.acl.replication()).Enabled).toBe(false);
      const right = { Resource: 'key', Access: 'write', Segment: 'x' } as const;
      expect(await consul.acl.authorize([right])).toEqual([true]);
      const anonymous = new ConsulClient(server.url);
      expect(await anonymous.acl.authorize([right])).toEqual([false]);
      await anonymous.close();
    });

    it('what older servers call legacy is gone', async () => {
      await expect(consul.request('PUT', '/acl/create', { json: {} })).rejects.toMatchObject({ status: 404 });
    });
  });

  describe('tokens', () => {
    it('CO-13 per call and by default; in a header, and in no error', async () => {
      const anonymous = new ConsulClient(server.url);
      await expect(anonymous.agent.self()).rejects.toMatchObject({ name: 'ConsulError', kind: 'unauthorized' });
      expect((await anonymous.agent.self({ token: root })).Config.NodeName).toBe('test-node');
      expect((await anonymous.agent.self({ token: { SecretID: root } })).Config.NodeName).toBe('test-node');
      const secret = 'no-such-token-0815';
      const error = await anonymous.agent.self({ token: secret }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'ConsulError', kind: 'unauthorized' });
      expect(JSON.stringify(error) + String(error) + (error as Error).stack).not.toContain(secret);
      await anonymous.close();
    });

    it('from a file that is read again when it was replaced', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'nsd-consul-token-'));
      const file = join(folder, 'token');
      const log: string[] = [];
      const hear = (message: string): void => void log.push(message);
      const first = await consul.acl.tokens.create({ Policies: [{ Name: 'global-management' }] });
      await writeFile(file, `${first.SecretID}\n`);
      const client = new ConsulClient({
        address: server.url,
        tokenFile: file,
        logger: { error: hear, warn: hear, log: hear, debug: hear },
        logLevel: 'debug',
      });
      expect((await client.acl.tokens.self())[0].AccessorID).toBe(first.AccessorID);
      const second = await consul.acl.tokens.create({ Policies: [{ Name: 'global-management' }] });
      await writeFile(`${file}.new`, second.SecretID);
      await rename(`${file}.new`, file);
      // Before it is noticed by itself, the refusal of the old one makes the client look.
      await consul.acl.tokens.destroy(first);
      expect((await client.acl.tokens.self())[0].AccessorID).toBe(second.AccessorID);
      // A file that is away for a moment changes nothing.
      await rm(file);
      expect((await client.acl.tokens.self())[0].AccessorID).toBe(second.AccessorID);
      const third = await consul.acl.tokens.create({ Policies: [{ Name: 'global-management' }] });
      await writeFile(file, third.SecretID);
      await until(
        async () => (await client.acl.tokens.self())[0].AccessorID === third.AccessorID,
        'the new token is used by itself',
      );
      for (const { SecretID } of [first, second, third]) expect(log.join('\n')).not.toContain(SecretID);
      await client.close();
      await rm(folder, { recursive: true });
      const missing = new ConsulClient({ address: server.url, tokenFile: file });
      await expect(missing.status.leader()).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'tokenFile' });
      await missing.close();
    });
  });
});

withServer('consul', { variant: 'acl', private: true }, (server) => {
  it('bootstraps once', async () => {
    const consul = new ConsulClient(server.url);
    const error = await consul.acl.bootstrap().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'ConsulError', kind: 'unauthorized' });
    // What an operator does who has lost the token.
    const index = /reset index: (\d+)/.exec(String(error))?.[1] ?? '';
    await writeFile(join(server.dataDir ?? '', 'acl-bootstrap-reset'), index);
    const token = await consul.acl.bootstrap({ secret: '11111111-2222-3333-4444-555555555555' });
    expect(token.SecretID).toBe('11111111-2222-3333-4444-555555555555');
    expect((await consul.acl.tokens.self({ token }))[0].Policies).toMatchObject([{ Name: 'global-management' }]);
    expect(await consul.agent.setToken('default', token, { token })).toBe(true);
    expect((await consul.agent.self()).Config.Server).toBe(true);
    await consul.close();
  });
});

withServer('consul', { variant: 'dev' }, () => {
  describe('TLS with client certificates', () => {
    let agent: OwnAgent;
    beforeAll(async () => {
      agent = await startAgent(
        'tls',
        ({ https, http, server, serf_lan, serf_wan }, _, tls) => ({
          ports: { http, https, server, serf_lan, serf_wan, dns: -1, grpc: -1, grpc_tls: -1 },
          tls: {
            https: { ca_file: tls?.caFile, cert_file: tls?.certFile, key_file: tls?.keyFile, verify_incoming: true },
          },
        }),
        { certificates: true },
      );
    });
    afterAll(() => agent.server.dispose());

    it('speaks with a certificate, from files and from texts', async () => {
      const { tls, ports } = agent;
      if (tls === undefined) throw new Error('the agent has certificates');
      const address = `https://127.0.0.1:${ports.https}`;
      const { caFile, certFile, keyFile, ca, cert, key } = tls;
      for (const one of [
        { caFile, certFile, keyFile },
        { ca, cert, key },
        { ca, cert, key, servername: 'localhost' },
      ]) {
        const client = new ConsulClient({ address, tls: one });
        expect(await client.status.leader()).not.toBe('');
        const [, meta] = await client.kv.get('x');
        await client.kv.get('x', { watch: [meta, 50] });
        await client.close();
      }
      expect(await readFile(keyFile, 'utf8')).toBe(key);
    });

    it('without one, or with an unknown authority, there is no answer', async () => {
      const { tls, ports } = agent;
      const address = `https://127.0.0.1:${ports.https}`;
      for (const one of [{ ca: tls?.ca ?? '' }, {}]) {
        const client = new ConsulClient({ address, tls: one });
        await expect(client.status.leader()).rejects.toMatchObject({ name: 'ConsulError', kind: 'unavailable' });
        await client.close();
      }
      const gone = new ConsulClient({ address, tls: { caFile: '/nonexistent/ca.pem' } });
      await expect(gone.status.leader()).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'tls.caFile' });
      await gone.close();
    });
  });

  describe('a unix socket', () => {
    let agent: OwnAgent;
    beforeAll(async () => {
      agent = await startAgent('unix', (_, folder) => ({ addresses: { http: `unix://${folder}/http.sock` } }), {
        client: (_, folder) => new ConsulClient(`${folder}/http.sock`),
      });
    });
    afterAll(() => agent.server.dispose());

    it('is an address, with and without its scheme', async () => {
      for (const address of [`unix://${agent.folder}/http.sock`, `${agent.folder}/http.sock`]) {
        const client = new ConsulClient(address);
        expect((await client.agent.self()).Config.NodeName).toBe('unix');
        const [, meta] = await client.kv.get('x');
        await client.kv.get('x', { watch: [meta, 50] });
        await client.close();
      }
    });
  });
});
