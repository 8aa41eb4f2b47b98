import { describe, expect, it, vi, afterEach } from 'vitest';
import { withEnvironment } from '../../../lib/backend/index.js';
import { consul, ConsulClient } from '../../../lib/backends/consul/index.js';
import { resolveConsulOptions } from '../../../lib/backends/consul/consul.options.js';
import { eureka } from '../../../lib/backends/eureka/index.js';
import { nacos } from '../../../lib/backends/nacos/index.js';
import { nats } from '../../../lib/backends/nats/index.js';
import { springConfig } from '../../../lib/backends/spring-config/index.js';
import { zookeeper } from '../../../lib/backends/zookeeper/index.js';
import { resolveOptions } from '../../../lib/nest/resolve-options.js';

afterEach(() => vi.unstubAllEnvs());

const set = (variables: Record<string, string>): void => {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
};

describe('withEnvironment()', () => {
  it('fills in what is left out; what is given wins, and what is empty is not set', () => {
    const table = { a: { variables: ['A', 'A2'] }, b: { variables: ['B'], unless: ['a'] }, c: { variables: ['C'] } };
    const read = (options: { a?: string; b?: string; c?: string }, variables: Record<string, string>) =>
      withEnvironment(options, table, (filled) => filled, variables);
    expect(read({}, { A: ' ', A2: ' x ', B: 'y', C: '' })).toEqual({ a: 'x' });
    expect(read({ a: 'own' }, { A: 'x', C: 'z' })).toEqual({ a: 'own', c: 'z' });
    expect(read({}, { B: 'y' })).toEqual({ b: 'y' });
  });
});

describe('the variables of each product', () => {
  it.each<[string, Record<string, string>, () => unknown, unknown]>([
    ['consul', { CONSUL_HTTP_ADDR: '10.0.0.1:8500' }, () => consul().hosts, ['10.0.0.1']],
    ['consul given', { CONSUL_HTTP_ADDR: '10.0.0.1' }, () => consul({ address: 'own' }).hosts, ['own']],
    [
      'eureka',
      { EUREKA_CLIENT_SERVICEURL_DEFAULTZONE: 'http://a:1/eureka/,http://b:1/eureka/' },
      () => eureka().hosts,
      ['a', 'b'],
    ],
    ['eureka relaxed', { EUREKA_CLIENT_SERVICE_URL_DEFAULTZONE: 'http://a:1/eureka' }, () => eureka().hosts, ['a']],
    [
      'nacos',
      { NACOS_SERVER_ADDR: 'a:8848,b:8848', NACOS_USERNAME: 'u', NACOS_PASSWORD: 'p' },
      () => nacos().hosts,
      ['a', 'b'],
    ],
    ['nats', { NATS_URL: 'nats://a:4222' }, () => nats().hosts, ['a']],
    ['zookeeper', { ZOOKEEPER_SERVERS: 'a:2181,b:2181' }, () => zookeeper().hosts, ['a', 'b']],
    [
      'spring-config',
      { SPRING_CLOUD_CONFIG_URI: 'http://a:8888,http://b:8888' },
      () => springConfig().hosts,
      ['a', 'b'],
    ],
  ])('%s', (_, variables, made, expected) => {
    set(variables);
    expect(made()).toEqual(expected);
  });

  it('consul: TLS, tokens and the tools’ own truth', () => {
    const connection = () => resolveConsulOptions({}).connection;
    set({ CONSUL_HTTP_ADDR: 'a:8501', CONSUL_HTTP_SSL: 'true', CONSUL_HTTP_SSL_VERIFY: '0', CONSUL_CACERT: '/ca.pem' });
    set({ CONSUL_HTTP_TOKEN: 't', CONSUL_NAMESPACE: 'n', CONSUL_PARTITION: 'p' });
    expect(connection()).toMatchObject({
      address: { host: 'a', port: 8501, tls: true },
      tls: { caFile: '/ca.pem', rejectUnauthorized: false },
      token: 't',
      namespace: 'n',
      partition: 'p',
    });
    set({ CONSUL_HTTP_TOKEN_FILE: '/token' });
    expect(connection()).toMatchObject({ token: undefined, tokenFile: '/token' });
    const own = resolveConsulOptions({ token: 'own' }).connection;
    expect([own.token, own.tokenFile]).toEqual(['own', undefined]);
    set({ CONSUL_HTTP_ADDR: '', CONSUL_HTTP_SSL: 'false' });
    expect(connection()).toMatchObject({ address: { host: '127.0.0.1', tls: false } });
  });

  it.each<[string, Record<string, string>, () => unknown]>([
    ['CONSUL_HTTP_ADDR', { CONSUL_HTTP_ADDR: 'ftp://x' }, () => consul()],
    ['CONSUL_HTTP_ADDR', { CONSUL_HTTP_ADDR: 'ftp://x' }, () => new ConsulClient()],
    ['CONSUL_HTTP_SSL', { CONSUL_HTTP_SSL: 'yes please' }, () => consul()],
    ['CONSUL_CLIENT_KEY', { CONSUL_CLIENT_CERT: '/x' }, () => consul()],
    ['EUREKA_CLIENT_SERVICEURL_DEFAULTZONE', { EUREKA_CLIENT_SERVICEURL_DEFAULTZONE: 'ftp://x' }, () => eureka()],
    ['NACOS_SERVER_ADDR', { NACOS_SERVER_ADDR: 'a:99999' }, () => nacos()],
    ['NATS_URL', { NATS_URL: ',' }, () => nats()],
    ['ZOOKEEPER_SERVERS', { ZOOKEEPER_SERVERS: 'a:b' }, () => zookeeper()],
    ['SPRING_CLOUD_CONFIG_URI', { SPRING_CLOUD_CONFIG_URI: 'x y' }, () => springConfig()],
    ['POD_IP', { POD_IP: 'pod' }, () => resolveOptions({ service: { name: 'A' } })],
  ])('%s is named when it is wrong', (field, variables, make) => {
    set(variables);
    expect(make).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field, message: expect.stringContaining(field) as string }),
    );
  });

  it('POD_IP is the host where nothing is said of it', () => {
    set({ POD_IP: '10.1.2.3' });
    expect(resolveOptions({ service: { name: 'A' } }).service).toMatchObject({ host: '10.1.2.3' });
    expect(resolveOptions({ service: { name: 'A', host: 'own' } }).service).toMatchObject({ host: 'own' });
    expect(resolveOptions({ service: { name: 'A', networks: ['10.0.0.0/8'] } }).service?.host).toBeUndefined();
    expect(resolveOptions({ registry: consul() }).service).toBeUndefined();
  });
});
