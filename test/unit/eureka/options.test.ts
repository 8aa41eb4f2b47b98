import { describe, expect, it } from 'vitest';
import { resolveClientOptions } from '../../../lib/backends/eureka/client/client-options.js';
import { resolveOwnAddress } from '../../../lib/backends/eureka/client/own-address.js';
import { toOutgoingInstance } from '../../../lib/backends/eureka/eureka.registration.js';
import { resolveEurekaOptions, type EurekaInstanceOptions } from '../../../lib/backends/eureka/eureka.options.js';
import { eureka } from '../../../lib/backends/eureka/index.js';
import { firstNonLoopbackIp, systemClock } from '../../../lib/backend/index.js';
import { createRegistration, type RegistrationInput } from '../../../lib/model/index.js';

describe('the options of eureka()', () => {
  it('have the defaults that are documented', () => {
    const settings = resolveEurekaOptions({});
    expect(settings).toMatchObject({
      name: 'eureka',
      connection: {
        preferSameZone: true,
        connectTimeoutMs: 3000,
        requestTimeoutMs: 5000,
        maxResponseBytes: 67_108_864,
        maxRedirects: 5,
        maxAttempts: 3,
        sessionMs: 1_200_000,
      },
      read: { fetchIntervalMs: 30_000, deltas: true, remoteRegions: [], preferIp: false, preferHttps: false },
      lease: { heartbeatMs: 30_000, leaseMs: 90_000, changeBurst: 2, changeIntervalMs: 15_000 },
    });
    expect([...settings.connection.zones]).toEqual([['', ['http://localhost:8761/eureka']]]);
  });

  it.each([
    [{ serviceUrl: 'x' }, 'serviceUrl'],
    [{ serviceUrls: 7 }, 'serviceUrls'],
    [{ serviceUrls: [] }, 'serviceUrls'],
    [{ serviceUrls: 'http://x?y' }, 'serviceUrls'],
    [{ serviceUrls: 'x', availabilityZones: { a: 'y' } }, 'serviceUrls'],
    [{ availabilityZones: { a: 'ftp://x' } }, 'availabilityZones.a'],
    [{ dns: { domain: 'x' } }, 'dns.region'],
    // Node ends the process at port 0.
    [{ dns: { domain: 'x', region: 'r', nameServers: ['127.0.0.1:0'] } }, 'dns.nameServers[0]'],
    [{ dns: { domain: 'x', region: 'r', nameServers: ['127.0.0.1:65536'] } }, 'dns.nameServers[0]'],
    [{ dns: { domain: 'x', region: 'r', nameServers: ['localhost'] } }, 'dns.nameServers[0]'],
    [{ protocol: 'ftp' }, 'protocol'],
    [{ context: '../x' }, 'context'],
    [{ username: 'u' }, 'password'],
    [{ password: 'p' }, 'username'],
    [{ tls: { ca: 7 } }, 'tls.ca'],
    [{ httpClient: {} }, 'httpClient.request'],
    [{ leaseMs: 1500 }, 'leaseMs'],
    [{ heartbeatMs: 90_000 }, 'heartbeatMs'],
    [{ maxAttempts: 0 }, 'maxAttempts'],
    [{ instance: { port: 70_000 } }, 'instance.port'],
    [{ instance: { dataCenter: 'Azure' } }, 'instance.dataCenter'],
    [{ instance: { amazonMetadataUrl: 'x' } }, 'instance.amazonMetadataUrl'],
    [{ name: 'a/b' }, 'name'],
  ])('%j is refused, naming %s', (options, field) => {
    expect(() => eureka(options as object)).toThrow(expect.objectContaining({ field }));
  });

  it('take a class as the HTTP client', () => {
    class Own {
      readonly secret = 1;
      request(): Promise<never> {
        return Promise.reject(new Error('unused'));
      }
    }
    expect(() => eureka({ httpClient: new Own() })).not.toThrow();
  });

  it('of a client: a name and a port unless it registers nothing', () => {
    expect(() => resolveClientOptions({})).toThrow(expect.objectContaining({ field: 'appName' }));
    expect(() => resolveClientOptions({ appName: 'a' })).toThrow(expect.objectContaining({ field: 'instancePort' }));
    expect(resolveClientOptions({ shouldRegister: false }).application).toBeUndefined();
    expect(() => resolveClientOptions({ shouldRegister: false, logger: {} as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
    // Every server, so that onError is told when all were tried.
    expect(resolveClientOptions({ shouldRegister: false }).eureka.connection.maxAttempts).toBe(1000);
  });
});

describe('the own address', () => {
  const of = (options: object) => resolveOwnAddress({ shouldRegister: false, ...options }, systemClock);
  const chosen = firstNonLoopbackIp() ?? '127.0.0.1';

  it('is what was given, else the first of the machine, else what the network says', async () => {
    expect(await of({ instanceHost: 'h', instanceIp: '10.0.0.1' })).toEqual({ host: 'h', ip: '10.0.0.1' });
    expect(await of({ instanceIp: '10.0.0.1' })).toEqual({ host: '10.0.0.1', ip: '10.0.0.1' });
    expect(await of({ instanceHost: '10.9.9.9' })).toEqual({ host: '10.9.9.9', ip: '10.9.9.9' });
    expect(await of({})).toEqual({ host: chosen, ip: chosen });
    await expect(of({ instanceIpNetwork: '203.0.113.0/24' })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(of({ instanceIpNetwork: 'nonsense' })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('of a host that resolves is what it resolves to; of one that does not, the machine’s', async () => {
    expect(await of({ instanceHost: 'localhost' })).toEqual({ host: 'localhost', ip: '127.0.0.1' });
    expect(await of({ instanceHost: 'no.such.host.invalid' })).toEqual({ host: 'no.such.host.invalid', ip: chosen });
  });
});

describe('a registration at Eureka', () => {
  const outgoing = (
    registration: Partial<RegistrationInput> = {},
    instance: EurekaInstanceOptions = {},
    more: { zone?: string; amazon?: Record<string, string> } = {},
  ) =>
    toOutgoingInstance(createRegistration({ service: 'Orders', host: 'h', port: 8080, ...registration }), 5, {
      lease: { heartbeatMs: 30_000, leaseMs: 90_000, instance },
      zone: more.zone ?? 'default',
      amazon: more.amazon,
    });

  it('looks as one of Spring’s own', () => {
    expect(outgoing({ ip: '10.0.0.1' })).toEqual({
      instanceId: 'Orders:h:8080',
      app: 'ORDERS',
      hostName: 'h',
      ipAddr: '10.0.0.1',
      status: 'UP',
      port: 8080,
      portEnabled: true,
      securePort: 443,
      securePortEnabled: false,
      vipAddress: 'orders',
      secureVipAddress: 'orders',
      homePageUrl: 'http://h:8080/',
      statusPageUrl: 'http://h:8080/info',
      healthCheckUrl: 'http://h:8080/health',
      secureHealthCheckUrl: '',
      dataCenter: 'MyOwn',
      dataCenterMetadata: {},
      metadata: { 'management.port': '8080' },
      renewalIntervalSeconds: 30,
      leaseSeconds: 90,
      lastDirtyTimestamp: 5,
    });
  });

  it('of an app that speaks https has the secure port only', () => {
    expect(outgoing({ scheme: 'https', port: 8443 })).toMatchObject({
      portEnabled: false,
      securePort: 8443,
      securePortEnabled: true,
      homePageUrl: 'https://h:8443/',
    });
  });

  it('carries what Eureka has no field for in its metadata; the app’s own words win', () => {
    const made = outgoing(
      { metadata: { 'management.port': '1', a: 'b' }, weight: 3, tags: ['x', 'y'], zone: 'z', scheme: 'grpc' },
      {},
      { zone: 'other' },
    );
    expect(made.metadata).toEqual({
      'management.port': '1',
      a: 'b',
      weight: '3',
      tags: 'x,y',
      zone: 'z',
      scheme: 'grpc',
    });
    expect(outgoing({}, {}, { zone: 'own' }).metadata['zone']).toBe('own');
  });

  it('takes every field of the options', () => {
    const made = outgoing(
      { healthPath: '/ready' },
      {
        hostName: 'public.example',
        ipAddr: '192.0.2.1',
        port: 81,
        securePort: 444,
        securePortEnabled: true,
        homePageUrl: '/home',
        statusPageUrl: 'https://elsewhere/status',
        secureHealthCheckUrl: 'https://h/health',
        vipAddress: 'v1,v2',
        secureVipAddress: 'sv',
        appGroupName: 'G',
        asgName: 'asg',
        isCoordinatingDiscoveryServer: true,
        dataCenter: 'Netflix',
      },
    );
    expect(made).toMatchObject({
      hostName: 'public.example',
      ipAddr: '192.0.2.1',
      port: 81,
      portEnabled: true,
      securePort: 444,
      securePortEnabled: true,
      homePageUrl: 'http://public.example:81/home',
      statusPageUrl: 'https://elsewhere/status',
      healthCheckUrl: 'http://public.example:81/ready',
      secureHealthCheckUrl: 'https://h/health',
      vipAddress: 'v1,v2',
      secureVipAddress: 'sv',
      appGroupName: 'G',
      asgName: 'asg',
      isCoordinatingDiscoveryServer: true,
      dataCenter: 'Netflix',
    });
  });

  it('at Amazon takes address and name from there', () => {
    const amazon = { 'local-ipv4': '172.16.0.9', 'local-hostname': 'ip-172-16-0-9', 'instance-id': 'i-1' };
    expect(outgoing({}, { dataCenter: 'Amazon' }, { amazon })).toMatchObject({
      hostName: 'ip-172-16-0-9',
      ipAddr: '172.16.0.9',
      dataCenter: 'Amazon',
      dataCenterMetadata: amazon,
    });
  });
});
