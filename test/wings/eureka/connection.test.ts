import { createSocket, type Socket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { EurekaClient, type EurekaClientOptions } from '../../../lib/backends/eureka/index.js';
import { freshName, freshPort } from '../../contract/contract-harness.js';
import { makeCertificates } from '../../servers/certificates.js';
import { withServer } from '../../servers/for-tests.js';
import { rawRecord, startMeddlingProxy, startService, until } from './support.js';

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function started(options: Partial<EurekaClientOptions>): Promise<EurekaClient> {
  const client = new EurekaClient({
    appName: freshName('Conn'),
    instancePort: freshPort(),
    logLevel: 'silent',
    fetchIntervalMs: 200,
    ...options,
  });
  ending.push(() => client.stop());
  await client.start();
  return client;
}

withServer('eureka', { variant: 'auth' }, (server) => {
  // The server runs in tests only.
  const place = (): { address: string; credentials: string } => ({
    address: new URL(server.url).host,
    credentials: `${server.username}:${encodeURIComponent(server.password ?? '')}`,
  });

  it('signs in with the credentials of the URL, or with those given apart, with the protocol and context apart', async () => {
    const { address, credentials } = place();
    const inUrl = await started({ serviceUrls: `http://${credentials}@${address}/eureka` });
    expect(inUrl.isRegistered).toBe(true);
    expect(inUrl.asOf).toBeDefined();
    const { username = '', password = '' } = server;
    const apart = await started({ serviceUrls: address, protocol: 'http', context: '/eureka', username, password });
    expect(apart.isRegistered).toBe(true);
    expect(apart.serverUrls).toEqual([`http://${address}/eureka`]);
  });

  it('keeps credentials per server: a wrong one leads to the next', async () => {
    const { address, credentials } = place();
    const other = await server.proxy();
    const client = await started({
      serviceUrls: [`http://eureka:wrong@${new URL(other.url).host}/eureka`, `http://${credentials}@${address}`],
      shuffleServers: false,
    });
    expect(client.isRegistered).toBe(true);
  });

  it('says what is wrong with wrong credentials, and shows them nowhere', async () => {
    const { address } = place();
    const heard: string[] = [];
    const codes = new Set<string>();
    const lines: string[] = [];
    const write = (message: string): void => void lines.push(message);
    await started({
      serviceUrls: `http://eureka:topsecret@${address}/eureka`,
      logLevel: 'debug',
      logger: { error: write, warn: write, log: write, debug: write },
      onError: (_, error) => {
        codes.add(error.code);
        heard.push(`${error.message} ${JSON.stringify(error.attempts)} ${String(error.cause)}`);
      },
    });
    await until(() => heard.length >= 2, 'the failures are told');
    expect([...codes]).toEqual(['BACKEND_REFUSED']);
    expect(heard[0]).toMatch(/401/);
    expect([...heard, ...lines].join('\n')).not.toMatch(/topsecret|dG9wc2VjcmV0/);
  });
});

withServer('eureka', {}, (server) => {
  it('over TLS: an own authority, a client certificate, and none of them refused', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-eureka-'));
    ending.push(() => rm(folder, { recursive: true }));
    const { ca, cert, key } = await makeCertificates(folder);
    const target = new URL(server.url);
    // What stands before a server in production: it ends TLS and demands a certificate.
    const gate = createSecureServer(
      { cert, key, ca, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        const { method, url: path, headers } = request;
        const passed = httpRequest({ host: target.hostname, port: target.port, method, path, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(response);
        });
        request.pipe(passed);
      },
    );
    await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
    ending.push(() => new Promise((resolve) => gate.close(resolve)));
    const serviceUrls = `https://127.0.0.1:${(gate.address() as AddressInfo).port}/eureka`;
    const trusted = await started({ serviceUrls, tls: { ca, cert, key } });
    expect(trusted.isRegistered).toBe(true);
    expect((await started({ serviceUrls, tls: { rejectUnauthorized: false, cert, key } })).isRegistered).toBe(true);
    expect((await started({ serviceUrls, tls: { cert, key }, stopTimeoutMs: 100 })).isRegistered).toBe(false);
    expect((await started({ serviceUrls, tls: { ca }, stopTimeoutMs: 100 })).isRegistered).toBe(false);
    for (const client of [trusted]) await client.stop();
    gate.closeAllConnections();
  });

  it('finds servers through TXT records, recursively, and asks the own zone first', async () => {
    const port = Number(new URL(server.url).port);
    const dead = freshPort();
    const dns = await startDns({
      'txt.test-1.example.org': [['zone-a.example.org', 'zone-b.example.org']],
      'txt.zone-a.example.org': [[`127.0.0.1:${dead}`]],
      'txt.zone-b.example.org': [[`127.0.0.1:${dead} 127.0.0.1:${port}`]],
    });
    const client = await started({
      dns: { domain: 'example.org', region: 'test-1', nameServers: [`127.0.0.1:${dns.port}`] },
      zone: 'zone-b',
      context: '/eureka',
      shuffleServers: false,
    });
    expect(client.isRegistered).toBe(true);
    expect(client.serverUrls).toEqual([`http://127.0.0.1:${dead}/eureka`, `http://127.0.0.1:${port}/eureka`]);
    expect(dns.asked).toContain('txt.zone-b.example.org');
    expect(client.zone).toBe('zone-b');
  });

  it('asks the servers of the own zone first, and the others when those are gone', async () => {
    const [near, far] = [await startMeddlingProxy(server.url), await startMeddlingProxy(server.url)];
    ending.push(
      () => near.close(),
      () => far.close(),
    );
    const zones = { far: far.url, near: `${near.url},` };
    const client = await started({ availabilityZones: zones, zone: 'near' });
    await client.refresh();
    expect(far.requests).toEqual([]);
    expect(near.requests.length).toBeGreaterThan(1);
    await near.close();
    await client.refresh();
    expect(far.requests.length).toBeGreaterThan(0);
    const any = await started({ availabilityZones: zones, zone: 'near', preferSameZone: false });
    expect(any.serverUrls[0]).toBe(far.url);
  });

  it('at Amazon registers what the metadata service says, asked with a token', async () => {
    const answers: Record<string, string> = {
      'instance-id': 'i-0abc',
      'ami-id': 'ami-1',
      'instance-type': 't3.micro',
      'local-ipv4': '172.31.0.9',
      'local-hostname': 'ip-172-31-0-9.internal',
      'placement/availability-zone': 'eu-central-1b',
      mac: '0e:49:61:0f:c3:11',
      'network/interfaces/macs/0e:49:61:0f:c3:11/vpc-id': 'vpc-77',
    };
    const metadata = await startService((request, response) => {
      const { url = '', method, headers } = request;
      if (method === 'PUT' && url === '/latest/api/token') return void response.end('TOKEN');
      // As a machine that takes questions with a token only.
      if (headers['x-aws-ec2-metadata-token'] !== 'TOKEN') return void response.writeHead(401).end();
      if (url === '/latest/dynamic/instance-identity/document') return void response.end('{"accountId":"42"}');
      const answer = answers[url.replace('/latest/meta-data/', '')];
      response.writeHead(answer === undefined ? 404 : 200).end(answer);
    });
    ending.push(() => metadata.close());
    const client = await started({
      serviceUrls: server.url,
      instance: { dataCenter: 'Amazon', amazonMetadataUrl: `http://127.0.0.1:${metadata.port}` },
    });
    const { service, instanceId, port } = client.registration ?? { service: '', instanceId: '', port: 0 };
    expect(instanceId).toBe(`172.31.0.9:${service.toLowerCase()}:${port}`);
    expect(client.zone).toBe('eu-central-1b');
    expect(await rawRecord(server.url, service, instanceId)).toMatchObject({
      ipAddr: '172.31.0.9',
      hostName: 'ip-172-31-0-9.internal',
      dataCenterInfo: {
        '@class': 'com.netflix.appinfo.AmazonInfo',
        name: 'Amazon',
        metadata: {
          'instance-id': 'i-0abc',
          'ami-id': 'ami-1',
          'instance-type': 't3.micro',
          'availability-zone': 'eu-central-1b',
          'local-ipv4': '172.31.0.9',
          'vpc-id': 'vpc-77',
          accountId: '42',
        },
      },
    });
    await client.refresh();
    expect(client.applications.getApplication(service).upInstancesInZone('eu-central-1b')).toHaveLength(1);
  });

  it('where no metadata service answers registers as elsewhere, after a short wait', async () => {
    const client = await started({
      serviceUrls: server.url,
      instance: { dataCenter: 'Amazon', amazonMetadataUrl: `http://127.0.0.1:${freshPort()}`, amazonTimeoutMs: 200 },
    });
    expect(client.isRegistered).toBe(true);
  });
});

/** A name server for TXT records, as much of one as a resolver needs. */
async function startDns(
  records: Readonly<Record<string, readonly (readonly string[])[]>>,
): Promise<{ readonly port: number; readonly asked: string[] }> {
  const socket: Socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, from) => {
    let offset = 12;
    const labels: string[] = [];
    for (let length = query[offset] ?? 0; length > 0; length = query[offset] ?? 0) {
      labels.push(query.toString('latin1', offset + 1, offset + 1 + length));
      offset += length + 1;
    }
    const name = labels.join('.').toLowerCase();
    asked.push(name);
    const found = records[name] ?? [];
    const question = query.subarray(12, offset + 5);
    const answers = found.map((texts) => {
      const data = Buffer.concat(texts.map((text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])));
      const head = Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1, data.length >> 8, data.length & 255]);
      return Buffer.concat([head, data]);
    });
    const code = found.length === 0 ? 3 : 0;
    const header = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80 | code, 0, 1, 0, found.length, 0, 0, 0, 0]);
    socket.send(Buffer.concat([header, question, ...answers]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  ending.push(() => new Promise((resolve) => socket.close(() => resolve(undefined))));
  return { port: socket.address().port, asked };
}
