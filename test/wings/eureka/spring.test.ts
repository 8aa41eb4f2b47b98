import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EurekaClient, type EurekaClientOptions } from '../../../lib/backends/eureka/index.js';
import { freshName } from '../../contract/contract-harness.js';
import { makeCertificates } from '../../servers/certificates.js';
import { run } from '../../servers/exec.js';
import { standIn, withServer } from '../../servers/for-tests.js';
import type { TlsFiles } from '../../servers/types.js';
import { provideSpringPeer, startSpringPeer } from './spring-peer.js';
import { rawRecord, startService, until, type Service } from './support.js';

withServer('eureka', {}, async (server) => {
  const program = await provideSpringPeer();
  if ('reason' in program) {
    standIn('spring-peer', program.reason, 'Spring application');
    return;
  }

  describe.each(['http', 'https'] as const)('together with a Spring Cloud application, over %s', (scheme) => {
    const [springName, ownName] = [freshName('spring'), freshName('Own')];
    let folder = '';
    let tls: TlsFiles | undefined;
    const ending: (() => Promise<unknown>)[] = [];
    let service: Service;
    let client: EurekaClient;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'nsd-spring-'));
      ending.push(() => rm(folder, { recursive: true, force: true }));
      tls = scheme === 'https' ? await makeCertificates(folder) : undefined;
      service =
        tls === undefined
          ? await startService((_, response) => void response.end('{"from":"node"}'))
          : await secureService(tls);
      ending.push(() => service.close());
      const options: EurekaClientOptions = {
        serviceUrls: server.url,
        appName: ownName,
        instancePort: service.port,
        instanceHost: '127.0.0.1',
        instanceIp: '127.0.0.1',
        fetchIntervalMs: 200,
        heartbeatMs: 1000,
        leaseMs: 10_000,
        metadata: { version: '7' },
        logLevel: 'silent',
        ...(tls === undefined
          ? {}
          : {
              tls: { ca: tls.ca },
              instance: { portEnabled: false, securePort: service.port, securePortEnabled: true },
            }),
      };
      client = new EurekaClient(options);
      ending.push(() => client.stop());
      await client.start();
      const trust = tls === undefined ? undefined : await trustStore(folder, tls.caFile);
      const spring = await startSpringPeer(program, springName, server.url, {
        ...(tls === undefined ? {} : { tls }),
        ...(trust === undefined ? {} : { trust }),
      });
      ending.push(() => spring.close());
    });

    afterAll(async () => {
      for (const end of ending.splice(0).reverse()) await end();
    });

    it('we call it by its name', async () => {
      await client.refresh();
      expect(await client.doService(springName, '/hello', { returnType: 'json' })).toEqual({ from: 'spring' });
    });

    it('it finds us by our name, with our fields', async () => {
      const path = `/instances?service=${ownName.toLowerCase()}`;
      await until(async () => (await client.doService(springName, path)) !== '[]', 'Spring sees us');
      expect(await client.doService(springName, path, { returnType: 'json' })).toEqual([
        {
          id: client.registration?.instanceId,
          host: '127.0.0.1',
          port: service.port,
          secure: scheme === 'https',
          metadata: { version: '7', 'management.port': String(service.port) },
        },
      ]);
    });

    it('it calls us by our name', async () => {
      const path = `/call?service=${ownName.toLowerCase()}&path=/from-spring`;
      await until(async () => (await client.doService(springName, path)) === '{"from":"node"}', 'Spring calls us');
      expect(service.requests).toContain('GET /from-spring');
    });

    it('our record has the fields of its own', async () => {
      const [theirs] = (await client.api.getApplication(springName)) ?? [];
      const theirRecord = await rawRecord(server.url, springName, theirs?.instanceId ?? '');
      const ourRecord = await rawRecord(server.url, ownName, client.registration?.instanceId ?? '');
      const shape = (record: Record<string, unknown> | undefined): readonly string[] =>
        Object.keys(record ?? {}).toSorted();
      expect(shape(ourRecord)).toEqual(
        expect.arrayContaining(shape(theirRecord).filter((key) => key !== 'secureHealthCheckUrl')),
      );
    });
  });
});

async function secureService({ cert, key }: TlsFiles): Promise<Service> {
  const requests: string[] = [];
  const secured = createServer({ cert, key }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    response.end('{"from":"node"}');
  });
  await new Promise<void>((resolve) => secured.listen(0, '127.0.0.1', resolve));
  return {
    port: (secured.address() as AddressInfo).port,
    requests,
    close: () =>
      new Promise((resolve) => {
        secured.close(() => resolve());
        secured.closeAllConnections();
      }),
  };
}

/** Java trusts what is in a key store. */
async function trustStore(folder: string, caFile: string): Promise<{ file: string; password: string }> {
  const [file, password] = [join(folder, 'trust.p12'), 'changeit'];
  const store = ['-keystore', file, '-storepass', password, '-storetype', 'PKCS12'];
  await run('keytool', ['-importcert', '-noprompt', '-alias', 'test', '-file', caFile, ...store], { cwd: folder });
  return { file, password };
}
