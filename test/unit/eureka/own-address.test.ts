import type * as dns from 'node:dns/promises';
import type * as os from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { EurekaClient } from '../../../lib/backends/eureka/index.js';
import { resolveOwnAddress } from '../../../lib/backends/eureka/client/own-address.js';
import { systemClock } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

// A machine as it isn't everywhere: with addresses of both families, and names of either.
vi.mock('node:os', async (original) => {
  const info = (address: string, internal = false): object => ({
    address,
    family: address.includes(':') ? 'IPv6' : 'IPv4',
    internal,
  });
  return {
    ...(await original<typeof os>()),
    hostname: () => 'my-machine',
    networkInterfaces: () => ({
      lo: [info('127.0.0.1', true), info('::1', true)],
      docker0: [info('172.17.0.1'), info('fd17::1')],
      eth0: [info('192.168.10.7'), info('fe80::1'), info('fd00:10::7'), info('2001:db8::7')],
    }),
  };
});
vi.mock('node:dns/promises', async (original) => ({
  ...(await original<typeof dns>()),
  Resolver: class {
    reverse(ip: string): Promise<string[]> {
      if (ip === '10.0.0.1') return Promise.resolve(['ten.example']);
      return ip === '10.0.0.2' ? Promise.reject(new Error('ENOTFOUND')) : new Promise(() => {});
    }
    cancel(): void {}
  },
  lookup: (name: string) => {
    const four = { address: '10.1.1.1', family: 4 };
    const six = { address: 'fd00:10::9', family: 6 };
    const known: Record<string, object[]> = { both: [six, four], 'six-only': [six] };
    if (name === 'silent') return new Promise(() => {});
    return known[name] === undefined ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(known[name]);
  },
}));

const of = (options: object): Promise<object> => resolveOwnAddress({ shouldRegister: false, ...options }, systemClock);

describe('the own address of an EurekaClient', () => {
  it.each([
    [undefined, '172.17.0.1'],
    ['192.168.10.0/24', '192.168.10.7'],
    ['fd00::/8', 'fd17::1'],
    ['fd00:10::/32', 'fd00:10::7'],
    ['2001:db8::/32', '2001:db8::7'],
    [['10.0.0.0/8', '2001:db8::/32'], '2001:db8::7'],
    [['2001:db8::/32', '192.168.0.0/16'], '192.168.10.7'],
  ])('in the network %j is %s', async (instanceIpNetwork, ip) => {
    expect(await of(instanceIpNetwork === undefined ? {} : { instanceIpNetwork })).toEqual({ host: ip, ip });
  });

  it('is on no interface that is ignored', async () => {
    const options = { instanceIpNetwork: 'fd00::/8', ignoredInterfaces: ['docker*'] };
    expect(await of(options)).toMatchObject({ ip: 'fd00:10::7' });
  });

  it('is never a link-local one, which means nothing to others', async () => {
    await expect(of({ instanceIpNetwork: 'fe80::/10' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'instanceIpNetwork',
    });
  });

  it('of a name is its IPv4 address, or its IPv6 one when it has no other or the networks say so', async () => {
    expect(await of({ instanceHost: 'both' })).toEqual({ host: 'both', ip: '10.1.1.1' });
    expect(await of({ instanceHost: 'both', instanceIpNetwork: 'fd00::/8' })).toMatchObject({ ip: 'fd00:10::9' });
    expect(await of({ instanceHost: 'six-only' })).toEqual({ host: 'six-only', ip: 'fd00:10::9' });
    expect(await of({ instanceHost: 'unknown', instanceIpNetwork: '2001:db8::/32' })).toMatchObject({
      ip: '2001:db8::7',
    });
  });

  it.each(['fd00::/129', 'fd00::', 'nonsense'])('%j is no network, and the error names the option', async (network) => {
    const problem = {
      code: 'INVALID_OPTION',
      field: 'instanceIpNetwork',
      message: expect.stringMatching(/^EurekaClient: instanceIpNetwork: a network must be written as/),
    };
    await expect(of({ instanceIpNetwork: network })).rejects.toMatchObject(problem);
    // Also when no address is looked for.
    expect(() => new EurekaClient({ shouldRegister: false, instanceIpNetwork: ['fd00::/8', network] })).toThrow(
      expect.objectContaining(problem),
    );
  });

  it('has the host name of the machine, or of DNS, when told so', async () => {
    expect(await of({ hostFrom: 'hostname' })).toEqual({ host: 'my-machine', ip: '172.17.0.1' });
    const reverse = (instanceIp: string): Promise<object> => of({ hostFrom: 'reverse-lookup', instanceIp });
    expect(await reverse('10.0.0.1')).toEqual({ host: 'ten.example', ip: '10.0.0.1' });
    expect(await reverse('10.0.0.2')).toEqual({ host: '10.0.0.2', ip: '10.0.0.2' });
  });

  it('does not wait for a name server that is silent', async () => {
    const clock = new ManualClock();
    const options = { shouldRegister: false, hostFrom: 'reverse-lookup', instanceIp: '10.0.0.3' } as const;
    const reverse = resolveOwnAddress(options, clock);
    await clock.advance(1000);
    expect(await reverse).toEqual({ host: '10.0.0.3', ip: '10.0.0.3' });
    const address = resolveOwnAddress({ shouldRegister: false, instanceHost: 'silent' }, clock);
    await clock.advance(1000);
    expect(await address).toEqual({ host: 'silent', ip: '172.17.0.1' });
  });
});
