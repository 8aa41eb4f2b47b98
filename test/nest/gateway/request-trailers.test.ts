import { Module } from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import { freePortWith } from '../../servers/free-port.js';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule, type GatewayRoute } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { DetailsUpstream } from '../../gateway-peers/upstream.js';
import { createOn, portOf, type Platform } from '../support.js';
import { afterTest, open, raw } from './support.js';

async function gateway(
  platform: Platform,
  route: Partial<GatewayRoute> = {},
): Promise<{ readonly port: number; readonly service: DetailsUpstream; readonly registry: InMemoryRegistry }> {
  const service = await DetailsUpstream.start();
  afterTest(() => service.close());
  const registry = new InMemoryRegistry();
  registry.addInstance('A', { port: service.port });
  const backend = registry.backend();
  @Module({
    imports: [
      ServiceGatewayModule.forRoot({ routes: [{ path: '/**', service: 'A', ...route }] }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule);
  await app.listen(0, '127.0.0.1');
  return { port: portOf(app), service, registry };
}

const HEAD = 'POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n';

describe.each(['express', 'fastify'] as const)('trailers of requests, on %s', (platform) => {
  test('those that were announced and may be trailers, and of no header that the route has a say in', async () => {
    const { port, service } = await gateway(platform, { headers: { 'x-user': null } });
    const announced =
      'trailer: X-Sum, authorization, x-forwarded-for, transfer-encoding, content-length, X-User, host\r\n';
    const trailers =
      'X-Sum: 9\r\nx-other: 1\r\nauthorization: a\r\nx-forwarded-for: 6.6.6.6\r\nx-user: root\r\ncontent-length: 1\r\n';
    const text = await raw(port, `${HEAD}${announced}\r\n3\r\nabc\r\n0\r\n${trailers}\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 (200|400) /);
    // A parser may refuse a length among trailers; none may come through.
    for (const seen of service.seen) expect(seen.trailers).toEqual({ 'x-sum': '9' });
    const fit = await raw(
      port,
      `${HEAD}trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\nx-other: 1\r\nx-user: root\r\n\r\n`,
    );
    expect(fit).toMatch(/^HTTP\/1\.1 200 /);
    expect(service.seen.at(-1)).toMatchObject({
      body: 'abc',
      trailers: { 'x-sum': '9' },
      headers: { trailer: 'X-Sum' },
    });
    expect(service.seen.at(-1)?.trailers).not.toHaveProperty('x-other');
  });

  test('fail over as others do, and obey the limit of the request', async () => {
    const { port, service, registry } = await gateway(platform, { maxRequestBytes: 10 });
    registry.addInstance('A', { port: await freePortWith([]) });
    for (let i = 0; i < 4; i += 1) {
      expect(await raw(port, `${HEAD}trailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n`)).toMatch(
        /^HTTP\/1\.1 200 /,
      );
    }
    expect(service.seen.map(({ body, trailers }) => [body, trailers['x-sum']])).toEqual(
      Array.from({ length: 4 }, () => ['abc', '9']),
    );
    expect(await raw(port, `${HEAD}trailer: x-sum\r\n\r\nb\r\nhello world\r\n0\r\nx-sum: 9\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 413 /,
    );
  });

  test('whoever goes away ends it at the service', async () => {
    const { port, service } = await gateway(platform);
    const socket = open(port);
    socket.write(`${HEAD}trailer: x-sum\r\n\r\n3\r\nabc\r\n`);
    await expect.poll(() => service.seen[0]?.bytes).toBe(3);
    socket.destroy();
    await expect.poll(() => service.seen[0]?.state).toBe('broken');
  });
});
