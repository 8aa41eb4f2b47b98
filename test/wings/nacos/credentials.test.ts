import { describe, expect, it } from 'vitest';
import { hmacSha1 } from '../../../lib/backends/nacos/client/signing.js';
import { NacosClient, NacosHttpClient, type NacosClientOptions } from '../../../lib/backends/nacos/index.js';
import { Hostile, refused } from './hostile-server.js';
import { Closing } from './support.js';

/**
 * What an open server doesn't look at (signatures), and what none does when it is asked to (refusing for ever): a server
 * that writes everything down. That logging in works is shown on real ones, in security.test.ts.
 */
describe('credentials', () => {
  const closing = new Closing();
  const start = async (more: Partial<NacosClientOptions> = {}): Promise<{ server: Hostile; client: NacosClient }> => {
    const server = closing.add(await Hostile.start());
    const client = closing.add(
      new NacosClient({ serverAddresses: `127.0.0.1:${server.port}`, noSnapshot: true, ...more }),
    );
    return { server, client };
  };

  it('one that refuses the token for ever: an error for the caller, and no storm of logins', async () => {
    const { server, client } = await start({ username: 'u', password: 'the-password' });
    server.answer = (type) => (['ConfigQueryRequest', 'InstanceRequest'].includes(type) ? refused : undefined);
    let issued = 0;
    server.login = () => ({ status: 200, text: `{"accessToken":"T${(issued += 1)}","tokenTtl":18000}` });
    await client.start();
    for (let index = 0; index < 20; index += 1) {
      await expect(client.config.getConfig({ dataId: 'a' })).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
    }
    await Promise.allSettled(
      Array.from({ length: 20 }, () => client.naming.registerInstance({ serviceName: 's', ip: '1.1.1.1', port: 1 })),
    );
    expect(server.logins.length).toBeLessThanOrEqual(3);
    expect(client.naming.serverHealth()).toBe(true);
  });

  it('a wrong password: told at once, by a name that has no secret in it, and not tried for every request', async () => {
    const { server, client } = await start({ username: 'u', password: 'the-password' });
    server.login = () => ({ status: 403, text: 'unknown user!' });
    await client.start();
    const errors = await Promise.all(
      Array.from({ length: 30 }, () => client.config.getConfig({ dataId: 'a' }).catch((error: unknown) => error)),
    );
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'BACKEND_REFUSED' });
      expect(String(error)).not.toContain('the-password');
    }
    expect(server.logins.length).toBeLessThanOrEqual(2);
  });

  it('a server that had no users at first: who is refused without a token logs in again, over both transports', async () => {
    const { server, client } = await start({ username: 'u', password: 'the-password' });
    const http = closing.add(
      new NacosHttpClient({
        serverAddresses: `127.0.0.1:${server.port}`,
        noSnapshot: true,
        username: 'u',
        password: 'p',
      }),
    );
    server.login = () => ({ status: 412, text: 'not initialized' });
    await client.start();
    await client.naming.registerInstance({ serviceName: 's', ip: '1.1.1.1', port: 1 });
    await http.getConfig('a');
    // Now somebody has made the first user.
    server.login = () => ({ status: 200, text: '{"accessToken":"T","tokenTtl":18000}' });
    server.answer = (type) =>
      type === 'InstanceRequest' && server.requests.at(-1)?.headers['accessToken'] !== 'T' ? refused : undefined;
    server.page = () =>
      server.http.at(-1)?.headers['authorization'] === 'Bearer T'
        ? { status: 200, text: 'x' }
        : { status: 403, text: 'user not found!' };
    await client.naming.registerInstance({ serviceName: 't', ip: '1.1.1.1', port: 1 });
    expect(await http.getConfig('a')).toBe('x');
  });

  it('no credentials at a server that wants some: says to give them', async () => {
    const { server, client } = await start();
    server.answer = (type) => (type === 'ConfigQueryRequest' ? refused : undefined);
    await client.start();
    await expect(client.config.getConfig({ dataId: 'a' })).rejects.toMatchObject({
      code: 'BACKEND_REFUSED',
      message: expect.stringContaining('give username and password'),
    });
    server.page = () => ({ status: 403, text: 'user not found!' });
    const http = closing.add(new NacosHttpClient({ serverAddresses: `127.0.0.1:${server.port}`, noSnapshot: true }));
    await expect(http.getConfig('a')).rejects.toMatchObject({
      code: 'BACKEND_REFUSED',
      message: expect.stringContaining('give username and password'),
    });
  });

  it('logLevel debug tells what goes over the wire, and no secret', async () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const logger = { error: write, warn: write, log: write, debug: write };
    const more = { username: 'u', password: 'the-password', logger, logLevel: 'debug' } as const;
    const { server, client } = await start(more);
    server.login = () => ({ status: 200, text: '{"accessToken":"the-token","tokenTtl":18000}' });
    await client.start();
    await client.config.getConfig({ dataId: 'a' }).catch(() => {});
    await client.config.publishConfig({ dataId: 'b', content: 'the-content' }).catch(() => {});
    await client.naming.registerInstance({ serviceName: 's', ip: '1.1.1.1', port: 1 }).catch(() => {});
    for (const said of [/auth/, /ConfigQueryRequest of a/, /ConfigPublishRequest of b/, /InstanceRequest of s/]) {
      expect(lines.filter((line) => said.test(line)).length).toBeGreaterThan(0);
    }
    const options = { serverAddresses: `127.0.0.1:${server.port}`, noSnapshot: true, ...more };
    const http = closing.add(new NacosHttpClient(options));
    await http.addNamingInstance({ serviceName: 's', ip: '1.1.1.1', port: 1 }).catch(() => {});
    await http.sendHeartbeat({ serviceName: 's', ip: '1.1.1.1', port: 1 }).catch(() => {});
    for (const said of [/POST .*instance/, /beat/]) {
      expect(lines.filter((line) => said.test(line)).length).toBeGreaterThan(0);
    }
    expect(lines.join('\n')).not.toMatch(/the-password|the-token|the-content/);
  });

  it('a token that was withdrawn: one login more, and the request is repeated', async () => {
    const { server, client } = await start({ username: 'u', password: 'p' });
    let issued = 0;
    server.login = () => ({ status: 200, text: `{"accessToken":"T${(issued += 1)}","tokenTtl":18000}` });
    server.answer = (type) =>
      type === 'ConfigRemoveRequest' && server.requests.at(-1)?.headers['accessToken'] === 'T1' ? refused : undefined;
    await client.start();
    expect(await client.config.removeConfig({ dataId: 'a' })).toBe(true);
    expect(issued).toBe(2);
  });

  it('a token withdrawn under thirty requests at once: one login more for all, and none of them fails', async () => {
    const { server, client } = await start({ username: 'u', password: 'p' });
    let issued = 0;
    server.login = () => ({ status: 200, text: `{"accessToken":"T${(issued += 1)}","tokenTtl":18000}` });
    server.answer = (type) =>
      type === 'ConfigRemoveRequest' && server.requests.at(-1)?.headers['accessToken'] === 'T1' ? refused : undefined;
    await client.start();
    const all = Array.from({ length: 30 }, (_, index) => client.config.removeConfig({ dataId: `d${index}` }));
    expect(await Promise.all(all)).toEqual(all.map(() => true));
    expect(issued).toBe(2);
  });

  it('access keys sign every request of configuration and naming; the provider is asked each time', async () => {
    let asked = 0;
    const credentialsProvider = () => {
      asked += 1;
      return Promise.resolve({ accessKey: `ak${asked}`, secretKey: `sk${asked}`, securityToken: `st${asked}` });
    };
    const { server, client } = await start({ credentialsProvider, namespace: 'ns1' });
    await client.start();
    await client.config.publishConfig({ dataId: 'doc', group: 'G', content: 'x' });
    await client.naming.registerInstance({ serviceName: 's', groupName: 'G', ip: '1.1.1.1', port: 1 });
    const headersOf = (type: string): Readonly<Record<string, string>> =>
      server.requests.find((one) => one.type === type)?.headers ?? {};
    const config = headersOf('ConfigPublishRequest');
    const key = Number(config['Spas-AccessKey']?.slice(2));
    expect(key).toBeGreaterThan(0);
    expect(config['Spas-Signature']).toBe(hmacSha1(`sk${key}`, `ns1+G+${config['Timestamp'] ?? ''}`));
    expect(config['Spas-SecurityToken']).toBe(`st${key}`);
    const naming = headersOf('InstanceRequest');
    const other = Number(naming['ak']?.slice(2));
    expect(other).toBeGreaterThan(key);
    expect(naming['data']).toMatch(/^\d{13}@@G@@s$/);
    expect(naming['signature']).toBe(hmacSha1(`sk${other}`, naming['data'] ?? ''));
    expect(naming['Spas-SecurityToken']).toBe(`st${other}`);
    // The connection itself is nobody's resource.
    expect(headersOf('ServerCheckRequest')).toEqual({});
  });

  it('access keys over HTTP: in the headers for configuration, in the parameters for naming', async () => {
    const server = closing.add(await Hostile.start());
    server.page = () => ({ status: 200, text: 'true' });
    const client = closing.add(
      new NacosHttpClient({
        serverAddresses: `127.0.0.1:${server.port}`,
        accessKey: 'ak',
        secretKey: 'sk',
        namespace: 'ns1',
        noSnapshot: true,
      }),
    );
    await client.publishConfig('doc', 'G', 'x', { appName: 'shop' });
    await client.addNamingInstance({ serviceName: 's', groupName: 'G', ip: '1.1.1.1', port: 1 });
    const [config, naming] = server.http;
    expect(config?.headers['spas-accesskey']).toBe('ak');
    const time = String(config?.headers['timestamp']);
    expect(config?.headers['spas-signature']).toBe(hmacSha1('sk', `ns1+G+${time}`));
    const params = new URLSearchParams(naming?.body);
    expect(params.get('ak')).toBe('ak');
    expect(params.get('signature')).toBe(hmacSha1('sk', params.get('data') ?? ''));
    expect(params.get('data')).toMatch(/^\d{13}@@G@@s$/);
    expect(`${config?.url ?? ''} ${naming?.url ?? ''}`).not.toContain('sk');
  });
});
