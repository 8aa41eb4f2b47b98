import { createAccount, createOperator, createUser, type KeyPair } from '@nats-io/nkeys';
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { NatsClient, type NatsClientOptions } from '../../../lib/backends/nats/index.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh, Opened } from './support.js';

const seedOf = (pair: KeyPair): string => new TextDecoder().decode(pair.getSeed());

/** A line of a server's configuration; what the settings would add after it becomes a comment. */
const line = (text: string): Record<string, boolean> => ({ [`${text} #`]: true });

/** Connects, and asks something of the server. */
async function works(opened: Opened, url: string, options: NatsClientOptions): Promise<void> {
  const client = await opened.client(url, options);
  const service = await client.startService({ name: fresh('auth'), version: '1.0.0' });
  await service.addEndpoint(service.name, (request) => request.respond('true'));
  expect(await client.serviceClient(service.name).call(service.name)).toBe(true);
}

/** Is refused, without a secret in what is said. */
async function refused(url: string, options: NatsClientOptions, secret: string): Promise<void> {
  const lines: string[] = [];
  const write = (message: string): void => void lines.push(message);
  const client = new NatsClient({
    servers: url,
    firstConnect: 'fail',
    logger: { error: write, warn: write, log: write, debug: write },
    ...options,
  });
  const error = await client.connect().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  await client.close();
  expect(error).toMatchObject({ code: expect.stringMatching(/^BACKEND_/) as string });
  expect(`${String(error)} ${JSON.stringify(error)} ${lines.join('\n')}`).not.toContain(secret);
}

withServer('nats', { variant: 'token' }, (server) => {
  const opened = new Opened();
  it('a token', async () => {
    await works(opened, server.url, { token: server.token ?? '' });
    await refused(server.url, { token: 'wrong-secret' }, 'wrong-secret');
  });
});

withServer('nats', { variant: 'tls' }, (server) => {
  const opened = new Opened();
  it('TLS, with either library', async () => {
    const tls = { ca: server.tls?.ca ?? '' };
    await works(opened, server.url, { tls });
    await works(opened, server.url, { tls, library: '@nats-io/transport-node' });
    await works(opened, server.url, { tls: { caFile: server.tls?.caFile ?? '' } });
    await refused(server.url, {}, 'BEGIN');
  });
});

withServer(
  'nats',
  { variant: 'current', settings: line('authorization { user: app, password: "pass word" }') },
  (server) => {
    const opened = new Opened();
    it('user and password', async () => {
      await works(opened, server.url, { username: 'app', password: 'pass word' });
      await refused(server.url, { username: 'app', password: 'wrong-secret' }, 'wrong-secret');
      const [scheme, rest] = server.url.split('//');
      await refused(`${scheme}//app:wrong-secret@${rest}`, {}, 'wrong-secret');
    });
  },
);

const user = createUser();
withServer(
  'nats',
  { variant: 'current', settings: line(`authorization { users: [ { nkey: ${user.getPublicKey()} } ] }`) },
  (server) => {
    const opened = new Opened();
    it('an NKey, with either library', async () => {
      const nkeySeed = seedOf(user);
      await works(opened, server.url, { nkeySeed });
      await works(opened, server.url, { nkeySeed, library: '@nats-io/transport-node' });
      const wrong = seedOf(createUser());
      await refused(server.url, { nkeySeed: wrong }, wrong);
    });
  },
);

/** A signed token, as NATS has them. */
function signed(issuer: KeyPair, subject: string, nats: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iat: 1_700_000_000, iss: issuer.getPublicKey(), name: 'test', sub: subject, nats };
  const jti = createHash('sha256').update(randomBytes(8)).digest('hex');
  const body = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part({ jti, ...claims })}`;
  return `${body}.${Buffer.from(issuer.sign(new TextEncoder().encode(body))).toString('base64url')}`;
}

const operator = createOperator();
const account = createAccount();
const system = createAccount();
const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const accountJwt = (pair: KeyPair): string =>
  signed(operator, pair.getPublicKey(), { limits, default_permissions: {}, type: 'account', version: 2 });
const resolver = [
  `operator: ${signed(operator, operator.getPublicKey(), { type: 'operator', version: 2, system_account: system.getPublicKey() })}`,
  'resolver: MEMORY',
  `resolver_preload: { ${account.getPublicKey()}: ${accountJwt(account)}, ${system.getPublicKey()}: ${accountJwt(system)} }`,
].join('\n');

withServer(
  'nats',
  { variant: 'current', settings: line(`system_account: ${system.getPublicKey()}\n${resolver}`) },
  (server) => {
    const opened = new Opened();
    it('credentials of a JWT', async () => {
      const bearer = createUser();
      const jwt = signed(account, bearer.getPublicKey(), {
        pub: {},
        sub: {},
        subs: -1,
        data: -1,
        payload: -1,
        type: 'user',
        version: 2,
      });
      const credentials = (seed: string): string =>
        `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
      await works(opened, server.url, { credentials: credentials(seedOf(bearer)) });
      await works(opened, server.url, { credentials: credentials(seedOf(bearer)), library: '@nats-io/transport-node' });
      const wrong = seedOf(createUser());
      await refused(server.url, { credentials: credentials(wrong) }, wrong);
    });
  },
);

const permissions =
  'authorization { users: [ { user: app, password: x, permissions: { subscribe: { deny: "forbidden.>" }, publish: { deny: "nowhere.>" } } } ] }';
withServer('nats', { variant: 'current', settings: line(permissions) }, (server) => {
  const opened = new Opened();
  it('a subject that the server refuses stops the service, which says so', async () => {
    const client = await opened.client(server.url, { username: 'app', password: 'x' });
    const service = await client.startService({ name: fresh('denied'), version: '1.0.0' });
    await service.addGroup('forbidden').addEndpoint('x', () => {});
    expect(await service.stopped).toMatchObject({ service: service.name });
    const other = await client.startService({ name: fresh('allowed'), version: '1.0.0' });
    expect(await client.queries().ping({ name: other.name })).toHaveLength(1);
  });
});

describe('mistakes in the options are one clear error', () => {
  it.for([
    [{ servers: 'nats://a b' }, 'servers[0]'],
    [{ servers: ['ok:1', 5] }, 'servers[1]'],
    [{ token: 'a', username: 'b' }, 'token'],
    [{ password: 'a' }, 'password'],
    [{ nkeySeed: 'a', credentials: 'b' }, 'credentials'],
    [{ connection: {} }, 'connection'],
    [{ tls: { cas: 'x' } }, 'tls.cas'],
    [{ connectTimeoutMs: 0 }, 'connectTimeoutMs'],
    [{ firstConnect: 'maybe' }, 'firstConnect'],
    [{ serverz: 'x' }, 'serverz'],
  ] as const)('%j', ([options, field]) => {
    expect(() => new NatsClient(options as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field }));
  });
});
