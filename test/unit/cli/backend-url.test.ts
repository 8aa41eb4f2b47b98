import { expect, it } from 'vitest';
import { backendOf } from '../../../lib/integrations/cli/backend-url.js';

it.each([
  ['consul://127.0.0.1:8500?token=t&dc=dc1', 'consul'],
  ['consul:', 'consul'],
  ['eureka+http://user:p%40ss@h1:8761,h2:8761/eureka', 'eureka'],
  ['eureka+https://h1/eureka', 'eureka'],
  ['nacos://nacos:pass@h1:8848,h2:8848?namespace=dev&protocol=http', 'nacos'],
  ['nats://token@h:4222', 'nats'],
  ['zk://h1:2181,h2:2181/chroot?layout=asab', 'zookeeper'],
  ['zk://h1', 'zookeeper'],
  ['dns:{service}.service.consul', 'dns'],
  ['local:', 'local'],
  ['local:/tmp/x?config=/tmp/y', 'local'],
])('%s is a backend of the kind %s', async (address, kind) => {
  expect((await backendOf(address)).kind).toBe(kind);
});

it.each(['redis://h', 'http://h', 'h:1', '', 'consul', '__proto__:x', 'zk://h?layout=none'])(
  '%j is none',
  async (address) => {
    await expect(backendOf(address)).rejects.toThrow(/is no address|layout must be/);
  },
);
