import { describe, expect, it } from 'vitest';
import { consul, ConsulClient, type ConsulOptions } from '../../../lib/backends/consul/index.js';
import { DiscoveryError } from '../../../lib/model/index.js';
import { resolveConsulOptions } from '../../../lib/backends/consul/consul.options.js';

describe('options of consul()', () => {
  it('nothing is needed', () => {
    const settings = resolveConsulOptions({});
    expect(settings).toMatchObject({
      name: 'consul',
      check: { type: 'ttl' },
      deregisterAfterMs: 600_000,
      config: { prefixes: ['config'], defaultContext: 'application', profileSeparator: ',', format: 'KEY_VALUE' },
      watch: { waitMs: 55_000, burst: 2, minIntervalMs: 500 },
      connection: { address: { kind: 'tcp', host: '127.0.0.1', port: 8500 }, maxWatchConnections: 100 },
    });
    expect(resolveConsulOptions({ config: { format: 'FILES' } }).config.profileSeparator).toBe('-');
    expect(resolveConsulOptions({ deregisterCriticalServiceAfterMs: false }).deregisterAfterMs).toBeUndefined();
  });

  it.each<[string, unknown]>([
    ['adress', { adress: 'x' }],
    ['address', { address: 5 }],
    ['address', { address: 'http://u:p@x' }],
    ['token', { token: 5 }],
    ['token.SecretID', { token: { AccessorID: 'x' } }],
    ['tokenFile', { token: 'x', tokenFile: 'y' }],
    ['tls.cacert', { tls: { cacert: 'x' } }],
    ['consistency', { consistency: 'eventual' }],
    ['requestTimeoutMs', { requestTimeoutMs: 0 }],
    ['maxWatchConnections', { maxWatchConnections: 0 }],
    ['check.type', { check: { type: 'ping' } }],
    ['check.type', { check: { type: 'constructor' } }],
    ['check.ttlMs', { check: { type: 'ttl', ttlMs: 1000 } }],
    ['check.intervalMs', { check: { type: 'http', intervalMs: 10 } }],
    ['check.intervalMs', { check: { type: 'ttl', intervalMs: 10_000 } }],
    ['deregisterCriticalServiceAfterMs', { deregisterCriticalServiceAfterMs: 59_999 }],
    ['deregisterCriticalServiceAfterMs', { deregisterCriticalServiceAfterMs: true }],
    ['discovery.tag', { discovery: { tag: 'x' } }],
    ['discovery.services.orders.near', { discovery: { services: { orders: { near: 5 } } } }],
    ['config.format', { config: { format: 'XML' } }],
    ['config.prefixes', { config: { prefixes: ['a/../b'] } }],
    ['config.dataKey', { config: { dataKey: 'a/b' } }],
    ['watch.waitMs', { watch: { waitMs: 700_000 } }],
  ])('%s is named when it is wrong', (field, options) => {
    expect(() => consul(options as ConsulOptions)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field }));
  });

  it('tells the new name of an option that was renamed', () => {
    expect(() => consul({ timeoutMs: 5 } as ConsulOptions)).toThrow('timeoutMs is called `requestTimeoutMs`');
    expect(() => consul({ tls: { serverName: 'x' } } as ConsulOptions)).toThrow(
      'tls.serverName is called `servername`',
    );
  });

  it('a secret in the wrong place is not shown', () => {
    for (const options of [{ token: { SecretID: 5, secret: 'geheim' } }, { check: 'geheim' }, { tls: 'geheim' }]) {
      expect(() => consul(options as never)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('geheim') }),
      );
    }
  });

  it('a whole token, as servers tell it, is taken', () => {
    const token = { AccessorID: 'a', SecretID: 's', Description: 'd', Policies: [] };
    expect(resolveConsulOptions({ token }).connection.token).toBe('s');
  });

  it('a definition is inert and may be used twice', () => {
    const definition = consul({ name: 'other' });
    expect(definition).toMatchObject({ kind: 'consul', name: 'other' });
    expect(Object.isFrozen(definition)).toBe(true);
  });

  it('options of the client', () => {
    expect(new ConsulClient().address).toBe('http://127.0.0.1:8500');
    expect(new ConsulClient('my.node.ip').address).toBe('http://my.node.ip:8500');
    expect(() => new ConsulClient({ check: {} } as never)).toThrow(expect.objectContaining({ field: 'check' }));
  });

  it('what cannot be sent is told as an error of this library', async () => {
    const client = new ConsulClient({ address: 'https://127.0.0.1:1', tls: { ca: 'this is no certificate' } });
    const headers = { 'X-Odd': 'a\nb' };
    await expect(client.request('GET', '/kv/x', { headers })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(client.request('GET', '/kv/two words')).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const failure = await client.status.leader().catch((reason: unknown) => reason);
    expect(failure).toBeInstanceOf(DiscoveryError);
    expect(String(failure)).not.toContain('this is no certificate');
    expect(client.requestsInFlight).toBe(0);
    await client.close();
  });
});
