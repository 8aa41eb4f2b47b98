import { describe, expect, it } from 'vitest';
import { nacos, NacosHttpClient, type NacosOptions } from '../../../lib/backends/nacos/index.js';
import { baseUrl, parseServerAddresses, parseServerListText } from '../../../lib/backends/nacos/client/addresses.js';
import { resolveNacosOptions } from '../../../lib/backends/nacos/nacos.options.js';

const base = { serverAddresses: 'localhost:8848' };

describe('options', () => {
  it('have the defaults that the documentation names', () => {
    const { client, ...rest } = resolveNacosOptions(base);
    expect(rest).toMatchObject({
      name: 'nacos',
      protocol: 'grpc',
      group: 'DEFAULT_GROUP',
      cluster: 'DEFAULT',
      ephemeral: true,
      enabled: true,
      pollMs: 7000,
      pullingTimeoutMs: 30_000,
      pullingConfigSize: 3000,
      config: { group: 'DEFAULT_GROUP', fileExtension: 'yaml', shared: [], extensions: [] },
    });
    expect(client).toMatchObject({
      namespaces: { naming: 'public', config: '' },
      contextPath: '/nacos',
      requestTimeoutMs: 3000,
      healthCheckMs: 5000,
      grpc: {
        portOffset: 1000,
        maxReceiveMessageLength: 104_857_600,
        keepAliveMs: 60_000,
        initialWindowSize: 10_485_760,
      },
    });
  });

  it('leave the namespace as it is written: each half of the servers calls the public one differently', () => {
    for (const namespace of ['', 'public', 'ns-1']) {
      const { namespaces } = resolveNacosOptions({ ...base, namespace }).client;
      expect(namespaces).toEqual({ naming: namespace, config: namespace });
    }
  });

  it('that are wrong are refused by name', () => {
    const refused = (options: object, field: string, code = 'INVALID_OPTION'): void =>
      expect(() => nacos({ ...base, ...options })).toThrow(expect.objectContaining({ code, field }));
    refused({ serverAddresses: undefined }, 'serverAddresses');
    refused({ serverAddresses: '' }, 'serverAddresses');
    refused({ serverAddresses: 'ftp://x' }, 'serverAddresses');
    refused({ serverAddresses: 'http://u:p@host' }, 'serverAddresses');
    refused({ serverAddresses: ['a:1', 'b:99999'] }, 'serverAddresses');
    refused({ endpoint: 'http://u:p@host/list' }, 'endpoint');
    refused({ protocol: 'udp' }, 'protocol');
    refused({ namespace: '../x' }, 'namespace');
    refused({ namespace: 5 }, 'namespace');
    refused({ contextPath: '/../x' }, 'contextPath');
    refused({ username: 'u' }, 'password');
    refused({ password: 'p' }, 'username');
    refused({ accessKey: 'a' }, 'secretKey');
    refused({ secretKey: 'a' }, 'accessKey');
    refused({ tls: { cert: 'x' } }, 'tls.key');
    refused({ tls: { ca: 'x', caFile: 'y' } }, 'tls.caFile');
    refused({ grpc: { portOffset: 'x' } }, 'grpc.portOffset');
    refused({ grpc: { unknown: 1 } }, 'grpc.unknown');
    refused({ cluster: 'a b' }, 'cluster');
    refused({ clusters: ['a', 'b/c'] }, 'clusters');
    refused({ config: { shared: [{}] } }, 'config.shared[0].dataId');
    refused({ config: { shared: [{ dataId: '../x' }] } }, 'dataId', 'INVALID_NAME');
    refused({ config: { fileExtension: 'xml' } }, 'config.fileExtension');
    refused({ group: 'a@@b' }, 'groupName', 'INVALID_NAME');
    refused({ pollMs: 1 }, 'pollMs');
    refused({ nonsense: 1 }, 'nonsense');
    refused({ configFilter: { encrypt: 5, decrypt: 5 } }, 'configFilter.encrypt');
  });

  it('that were renamed are told by their new name', () => {
    expect(() => nacos({ ...base, verifyCertificates: false } as NacosOptions)).toThrow(
      'verifyCertificates is called `tls.rejectUnauthorized`',
    );
    expect(() => nacos({ ...base, tls: { serverName: 'x' } } as NacosOptions)).toThrow('is called `servername`');
    const old = { ...base, defaultTimeoutMs: 5 } as ConstructorParameters<typeof NacosHttpClient>[0];
    expect(() => new NacosHttpClient(old)).toThrow('defaultTimeoutMs is called `requestTimeoutMs`');
  });

  it('never show a secret in a refusal', () => {
    for (const options of [
      { ...base, username: 5, password: 'the-password' },
      { serverAddresses: 'http://user:the-password@host:1' },
      { ...base, username: 'u', password: ['the-password'] },
      { ...base, accessKey: 'a', secretKey: { it: 'the-password' } },
    ]) {
      let message = '';
      try {
        nacos(options as unknown as NacosOptions);
      } catch (error) {
        message = String(error);
      }
      expect(message).not.toBe('');
      expect(message).not.toContain('the-password');
    }
  });

  it('of the HTTP client refuse what only gRPC has', () => {
    const options = { ...base, grpc: {} } as unknown as ConstructorParameters<typeof NacosHttpClient>[0];
    expect(() => new NacosHttpClient(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: 'grpc' }),
    );
  });
});

describe('server addresses', () => {
  const urls = (given: string | readonly string[]): readonly string[] =>
    parseServerAddresses(given, 'serverAddresses').map(baseUrl);

  it('with and without scheme and port, in a list or in one text', () => {
    expect(urls('192.168.3.4:8848')).toEqual(['http://192.168.3.4:8848']);
    expect(urls('https://192.168.3.4:443,http://10.0.0.1:80/nacos, host')).toEqual([
      'https://192.168.3.4:443',
      'http://10.0.0.1:80',
      'http://host:8848',
    ]);
    expect(urls(['[fd00::1]:9000', 'fd00::2'])).toEqual(['http://[fd00::1]:9000', 'http://[fd00::2]:8848']);
  });

  it('from an address endpoint: one a line, what is none is left out', () => {
    expect(parseServerListText('10.0.0.1\r\n10.0.0.2:80\n\n# x\nnot one!!\nhttp://u:p@x').map(baseUrl)).toEqual([
      'http://10.0.0.1:8848',
      'http://10.0.0.2:80',
    ]);
  });
});
