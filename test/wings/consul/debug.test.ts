import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, expect, it, vi } from 'vitest';
import { consul } from '../../../lib/backends/consul/index.js';
import { AppRegistration, DiscoveryModule, ServiceHttpClient } from '../../../lib/index.js';
import { LogCollector } from '../../nest/support.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh } from './support/wait.js';

afterEach(() => vi.unstubAllEnvs());

withServer('consul', { variant: 'acl' }, (server) => {
  const start = async (name: string) => {
    const registry = consul({ address: server.url, token: server.token ?? '' });
    @Module({
      imports: [DiscoveryModule.forRoot({ service: { name, host: '127.0.0.1' }, registry, config: registry })],
    })
    class AppModule {}
    const logger = new LogCollector();
    const app = await NestFactory.create(AppModule, { logger, abortOnError: false });
    await app.listen(0, '127.0.0.1');
    await expect.poll(() => app.get(AppRegistration).lease?.state.current.phase).toBe('registered');
    return { app, logger };
  };

  it('DISCOVERY_DEBUG shows the requests to the registry, and who was picked for a call, and no secret', async () => {
    vi.stubEnv('DISCOVERY_DEBUG', 'consul, calls,nonsense');
    const name = fresh('debug');
    const { app, logger } = await start(name);
    await app
      .get(ServiceHttpClient)
      .axiosRef.get(`lb://${name}/quote?token=geheim`, { headers: { authorization: 'geheim' } })
      .catch(() => {});
    await app.close();
    const text = logger.lines.join('\n');
    expect(text).toMatch(/log consul: GET \/v1\/\S+.*: 200, \d+ ms/);
    expect(text).toMatch(new RegExp(`log GET ${name}: first try at http://127\\.0\\.0\\.1:\\d+`));
    expect(text).toMatch(new RegExp(`log GET ${name}: failed \\(404\\), \\d+ ms in all`));
    expect(text).toMatch(/warn DISCOVERY_DEBUG: 'nonsense' is nothing of this app; it has consul, calls, events, \*/);
    expect(text).not.toContain('geheim');
    expect(text).not.toContain(server.token ?? '-');
  });

  it('nothing of it is there as a rule', async () => {
    const { app, logger } = await start(fresh('quiet'));
    await app.close();
    expect(logger.lines.filter((line) => / ms$|\/v1\//.test(line))).toEqual([]);
  });
});
