import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, test } from 'vitest';
import { chooseAddress, firstNonLoopbackIp } from '../../../lib/registration/index.js';

function info(address: string, internal = false): NetworkInterfaceInfo {
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  const rest = { address, internal, netmask: '', mac: '', cidr: null };
  return family === 'IPv6' ? { ...rest, family, scopeid: 0 } : { ...rest, family };
}

const interfaces = {
  lo: [info('127.0.0.1', true), info('::1', true)],
  docker0: [info('172.17.0.1')],
  eth0: [info('192.168.10.7'), info('fe80::1'), info('fd00::7')],
  eth1: [info('10.1.0.7')],
};

describe('chooseAddress', () => {
  test.for([
    [{}, undefined, '172.17.0.1'],
    [{ ignoredInterfaces: ['docker*'] }, undefined, '192.168.10.7'],
    [{ ignoredInterfaces: ['docker0', 'eth0'] }, undefined, '10.1.0.7'],
    [{ networks: ['10.0.0.0/8'] }, undefined, '10.1.0.7'],
    [{ networks: ['10.0.0.0/8', '192.168.0.0/16'] }, undefined, '192.168.10.7'],
    [{ family: 6 }, undefined, 'fd00::7'],
    [{ networks: ['fd00::/8'] }, undefined, 'fd00::7'],
    [{ networks: ['203.0.113.0/24', 'fd00::/8'] }, undefined, 'fd00::7'],
    [{ networks: ['fd00::/8', '10.0.0.0/8'] }, undefined, '10.1.0.7'],
    [{}, '0.0.0.0', '172.17.0.1'],
    [{}, '::', '172.17.0.1'],
    [{}, '127.0.0.1', '127.0.0.1'],
    [{ ip: '1.2.3.4' }, '127.0.0.1', '1.2.3.4'],
  ] as const)('%j bound to %s is %s', ([options, bound, expected]) => {
    expect(chooseAddress(options, bound, interfaces)).toMatchObject({ host: expected, ip: expected, loopback: false });
  });

  test('an explicit host keeps a chosen address behind it', () => {
    expect(chooseAddress({ host: 'stock.example' }, undefined, interfaces)).toMatchObject({
      host: 'stock.example',
      ip: '172.17.0.1',
    });
    expect(chooseAddress({ host: '9.9.9.9' }, undefined, interfaces)).toMatchObject({ host: '9.9.9.9', ip: '9.9.9.9' });
  });

  test('without any other interface it is the loopback, and says so', () => {
    expect(chooseAddress({}, undefined, { lo: interfaces.lo })).toEqual({
      host: '127.0.0.1',
      ip: '127.0.0.1',
      loopback: true,
    });
  });

  test('a network that nobody is in is an error, and so is one that is none', () => {
    expect(() => chooseAddress({ networks: ['203.0.113.0/24'] }, undefined, interfaces)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: 'service.networks' }),
    );
    for (const network of ['10.0.0.0', '10.0.0.0/33', '10.0.0/8', 'x/8', '10.0.0.0/8/8', '10.0.0.0/-1', 'fd00::/129']) {
      expect(() => firstNonLoopbackIp(network)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    }
  });
});
