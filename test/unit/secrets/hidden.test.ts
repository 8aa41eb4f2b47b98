import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { consul, ConsulClient } from '../../../lib/backends/consul/index.js';
import { eureka, EurekaClient } from '../../../lib/backends/eureka/index.js';
import { nacos, NacosClient, NacosHttpClient } from '../../../lib/backends/nacos/index.js';
import { nats, NatsClient } from '../../../lib/backends/nats/index.js';
import { springConfig } from '../../../lib/backends/spring-config/index.js';
import { zookeeper, ZooKeeperClient } from '../../../lib/backends/zookeeper/index.js';
import { createContext } from '../../contract/contract-harness.js';
import { findSecrets } from './find-secrets.js';

const SECRET = 'S3cr3tMarker';
const auth = [{ scheme: 'digest', credentials: `user:${SECRET}` }];
const login = { username: 'user', password: SECRET };
const tls = { passphrase: SECRET, key: SECRET, cert: 'CERT' };
const serverAddresses = ['127.0.0.1:1'];
const serviceUrls = [`http://user:${SECRET}@127.0.0.1:1/eureka`];

it.each<[string, () => object]>([
  ['ConsulClient', () => new ConsulClient({ token: SECRET })],
  ['ConsulClient with TLS', () => new ConsulClient({ address: 'https://127.0.0.1:1', tls })],
  ['EurekaClient', () => new EurekaClient({ serviceUrls: ['http://127.0.0.1:1'], shouldRegister: false, ...login })],
  ['EurekaClient with URLs', () => new EurekaClient({ serviceUrls, shouldRegister: false })],
  ['NacosClient', () => new NacosClient({ serverAddresses, ...login })],
  ['NacosClient with keys', () => new NacosClient({ serverAddresses, accessKey: 'a', secretKey: SECRET })],
  ['a part of NacosClient', () => new NacosClient({ serverAddresses, ...login }).config],
  ['another part of it', () => new NacosClient({ serverAddresses, ...login }).naming],
  ['NacosHttpClient', () => new NacosHttpClient({ serverAddresses, ...login })],
  ['NatsClient with a password', () => new NatsClient(login)],
  ['NatsClient with a token', () => new NatsClient({ token: SECRET })],
  ['NatsClient with a seed', () => new NatsClient({ nkeySeed: SECRET })],
  ['NatsClient with credentials', () => new NatsClient({ credentials: SECRET })],
  ['NatsClient with a URL', () => new NatsClient({ servers: `nats://user:${SECRET}@127.0.0.1:1` })],
  ['NatsClient with TLS', () => new NatsClient({ tls })],
  ['ZooKeeperClient', () => new ZooKeeperClient({ servers: '127.0.0.1:1', auth })],
  ['ZooKeeperClient with TLS', () => new ZooKeeperClient({ servers: '127.0.0.1:1', tls })],
  ['consul()', () => consul({ token: SECRET }).create(createContext([]))],
  ['eureka()', () => eureka({ serviceUrls, ...login }).create(createContext([]))],
  ['nacos()', () => nacos({ serverAddresses, ...login }).create(createContext([]))],
  ['nats()', () => nats(login).create(createContext([]))],
  ['springConfig()', () => springConfig({ ...login, token: SECRET }).create(createContext([]))],
  ['zookeeper()', () => zookeeper({ auth }).create(createContext([]))],
])('%s shows no secret', async (_, make) => {
  const made = make();
  expect(findSecrets(made, SECRET)).toEqual([]);
  for (const [name, part] of [['', made] as const, ...Object.entries(made)]) {
    expect(inspect(part, { depth: 20 }), name).not.toContain(SECRET);
    let json: string | undefined;
    try {
      json = JSON.stringify(part);
    } catch {
      // A circle: nothing is shown.
    }
    expect(json ?? '', name).not.toContain(SECRET);
  }
  await (made as { close?: () => Promise<void> }).close?.();
});
