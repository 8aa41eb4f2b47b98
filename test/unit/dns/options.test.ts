import { describe, expect, it } from 'vitest';
import { dns, type DnsOptions } from '../../../lib/backends/dns/index.js';
import { resolveDnsOptions } from '../../../lib/backends/dns/dns.options.js';

describe('options of dns()', () => {
  it('have defaults', () => {
    expect(resolveDnsOptions({})).toEqual({
      name: 'dns',
      pattern: '{service}',
      record: 'SRV',
      scheme: 'http',
      servers: [],
      refreshMs: 10_000,
      timeoutMs: 5000,
    });
    expect(dns()).toMatchObject({ kind: 'dns', name: 'dns' });
  });

  it.each(['127.0.0.1', '127.0.0.1:8600', '10.0.0.1:1', '10.0.0.1:65535', '::1', '[::1]', '[2001:db8::1]:53'])(
    'take the server %s',
    (server) => {
      expect(resolveDnsOptions({ servers: [server] }).servers).toEqual([server]);
    },
  );

  it.each<[string, string, unknown]>([
    // Node ends the process at port 0, and takes 99999 for another.
    ...[
      '127.0.0.1:0',
      '127.0.0.1:99999',
      '127.0.0.1:',
      '127.0.0.1:x',
      'localhost',
      '',
      '1.2.3:53',
      '[::1',
      '[::1]:0',
    ].map((server): [string, string, unknown] => [`the server ${server}`, 'servers[0]', { servers: [server] }]),
    ['servers that are no list', 'servers', { servers: '127.0.0.1' }],
    ['a pattern without the service', 'pattern', { pattern: 'orders.service.consul' }],
    ['a pattern that is no name', 'pattern', { pattern: '{service}..consul' }],
    ['another record', 'record', { record: 'TXT' }],
    ['A without a port', 'port', { record: 'A' }],
    ['AAAA without a port', 'port', { record: 'AAAA' }],
    ['SRV with a port', 'port', { port: 80 }],
    ['a port that is none', 'port', { record: 'A', port: 70_000 }],
    ['a scheme that is none', 'scheme', { scheme: 'HTTP://' }],
    ['a poll without a pause', 'refreshMs', { refreshMs: 0 }],
    ['a time limit of nothing', 'timeoutMs', { timeoutMs: 0 }],
    ['an option that is none', 'domain', { domain: 'consul' }],
  ])('refuse %s', (_, field, options) => {
    expect(() => dns(options as DnsOptions)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field }));
  });

  it('refuse a name that is none', () => {
    expect(() => dns({ name: 'a/b' })).toThrow(expect.objectContaining({ code: 'INVALID_NAME', field: 'name' }));
  });
});
