import { describe, expect, it } from 'vitest';
import { lookUpZones } from '../../../lib/backends/eureka/client/dns.js';
import { EurekaServers } from '../../../lib/backends/eureka/client/servers.js';
import {
  orderByZone,
  parseServiceUrls,
  toEndpoint,
  type ServiceUrlDefaults,
} from '../../../lib/backends/eureka/client/service-urls.js';
import { resolveEurekaOptions, type EurekaOptions } from '../../../lib/backends/eureka/eureka.options.js';
import { silentLogger } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

const DEFAULTS: ServiceUrlDefaults = {
  protocol: 'http',
  context: '/eureka',
  port: undefined,
  username: undefined,
  password: undefined,
};
const parse = (given: string | readonly string[], defaults: Partial<ServiceUrlDefaults> = {}): readonly string[] =>
  parseServiceUrls(given, { ...DEFAULTS, ...defaults }, 'eureka(): serviceUrls', 'serviceUrls');

describe('service URLs', () => {
  it.each([
    ['http://peer1', 'http://peer1/eureka'],
    ['http://peer1/', 'http://peer1/eureka'],
    ['http://peer1:8761/eureka/v2', 'http://peer1:8761/eureka/v2'],
    ['http://peer1:8761/eureka/v2/', 'http://peer1:8761/eureka/v2'],
    ['http://peer1//eureka//', 'http://peer1/eureka'],
    ['peer1', 'http://peer1/eureka'],
    ['peer1:8761', 'http://peer1:8761/eureka'],
    ['user:pa%40ss@peer1:8761', 'http://user:pa%40ss@peer1:8761/eureka'],
    ['http://user:pa@ss@peer1', 'http://user:pa%40ss@peer1/eureka'],
    ['https://[fd00::1]:8761', 'https://[fd00::1]:8761/eureka'],
  ])('%s becomes %s', (given, expected) => {
    expect(parse(given)).toEqual([expected]);
  });

  it('splits commas, in one text or in several, and drops doubles and blanks', () => {
    expect(parse(' peer1 , http://peer2/eureka/v2/,peer1,')).toEqual(['http://peer1/eureka', 'http://peer2/eureka/v2']);
    expect(parse(['peer1,peer2', 'peer3'])).toHaveLength(3);
  });

  it('adds protocol, context, port and credentials that were given apart', () => {
    const apart = { protocol: 'https', context: '/eureka/v2', port: 7001, username: 'u@x', password: 'p:/@' } as const;
    expect(parse('peer1', apart)).toEqual(['https://u%40x:p%3A%2F%40@peer1:7001/eureka/v2']);
    expect(parse('http://own:creds@peer1:1/ctx', apart)).toEqual(['http://own:creds@peer1:1/ctx']);
    // A port that is the scheme's own was given too.
    expect(parse('https://peer1:443', apart)[0]).toContain('@peer1/eureka/v2');
    expect(toEndpoint(parse('peer1', apart)[0] ?? '')).toEqual({
      baseUrl: 'https://peer1:7001/eureka/v2',
      authorization: `Basic ${Buffer.from('u@x:p:/@').toString('base64')}`,
    });
    expect(parse('peer1', { context: '' })).toEqual(['http://peer1']);
  });

  it.each(['ftp://peer1', 'http://peer1/eureka?x=1', 'http://user:%zz@peer1', 'http://', ',', 'http://pe er'])(
    'refuses %s without showing it',
    (given) => {
      let message = '';
      try {
        parse(given);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_OPTION', field: 'serviceUrls' });
        message = error instanceof Error ? error.message : '';
      }
      expect(message).toMatch(/serviceUrls/);
      expect(message).not.toContain('%zz');
    },
  );

  it('orders by zone: the own first, then those after it, round again', () => {
    const zones = new Map([
      ['a', ['a1', 'a2']],
      ['b', ['b1']],
      ['c', ['c1']],
    ]);
    const same = (servers: readonly string[]): readonly string[] => servers;
    expect(orderByZone(zones, 'b', true, same)).toEqual(['b1', 'c1', 'a1', 'a2']);
    expect(orderByZone(zones, 'b', false, same)).toEqual(['a1', 'a2', 'b1', 'c1']);
    expect(orderByZone(zones, 'elsewhere', true, same)).toEqual(['a1', 'a2', 'b1', 'c1']);
  });
});

/** TXT records as the document of the original shows them. */
const RECORDS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'txt.us-east-1.mydomain.net': [['us-east-1c.mydomain.net', 'us-east-1d.mydomain.net'], ['us-east-1e.mydomain.net.']],
  'txt.us-east-1c.mydomain.net': [['ec2-1.amazonaws.com ec2-2.amazonaws.com:7001']],
  'txt.us-east-1d.mydomain.net': [['"ec2-3.amazonaws.com"'], ['../evil', 'http://x']],
};

describe('servers by DNS', () => {
  const lookup = (name: string) => {
    const found = RECORDS[name];
    return found === undefined ? Promise.reject(new Error(`ENOTFOUND ${name}`)) : Promise.resolve(found);
  };

  it('reads every text of every record, blanks, quotes and dots, and leaves out what is no host', async () => {
    const zones = await lookUpZones(lookup, 'us-east-1', 'mydomain.net');
    expect([...zones]).toEqual([
      ['us-east-1c', ['ec2-1.amazonaws.com', 'ec2-2.amazonaws.com:7001']],
      ['us-east-1d', ['ec2-3.amazonaws.com']],
    ]);
    await expect(lookUpZones(lookup, 'eu', 'mydomain.net')).rejects.toThrow('ENOTFOUND');
    const empty = lookUpZones(() => Promise.resolve([]), 'eu', 'x');
    await expect(empty).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
  });

  function servers(options: EurekaOptions, look: typeof lookup, clock = new ManualClock()) {
    const { connection } = resolveEurekaOptions(options);
    const made = new EurekaServers({
      backend: 'eureka',
      clock,
      logger: silentLogger,
      random: () => 0.5,
      connection,
      appZone: undefined,
      lookup: look,
    });
    return { made, clock };
  }

  it('adds what was given apart, puts the own zone first, refreshes in the background, survives a failing DNS', async () => {
    let records: 'first' | 'failing' | 'second' = 'first';
    let asked = 0;
    const { made, clock } = servers(
      {
        dns: { domain: 'mydomain.net', region: 'us-east-1' },
        zone: 'us-east-1d',
        protocol: 'https',
        username: 'u',
        password: 'p',
        context: '/eureka/v2',
      },
      (name) => {
        asked += 1;
        if (records === 'failing') return Promise.reject(new Error('SERVFAIL'));
        if (records === 'second' && name === 'txt.us-east-1d.mydomain.net') return Promise.resolve([['ec2-9.x']]);
        return lookup(name);
      },
    );
    expect(made.urls).toEqual([]);
    made.start();
    const first = made.run((server) => Promise.resolve(server));
    await clock.settle();
    expect(await first).toEqual({
      baseUrl: 'https://ec2-3.amazonaws.com/eureka/v2',
      authorization: `Basic ${Buffer.from('u:p').toString('base64')}`,
    });
    expect(made.urls).toEqual([
      'https://ec2-3.amazonaws.com/eureka/v2',
      'https://ec2-1.amazonaws.com/eureka/v2',
      'https://ec2-2.amazonaws.com:7001/eureka/v2',
    ]);
    records = 'failing';
    const before = asked;
    await clock.advance(300_000);
    expect(asked).toBeGreaterThan(before);
    expect(made.urls).toHaveLength(3);
    records = 'second';
    await clock.advance(300_000);
    expect(made.urls[0]).toBe('https://ec2-9.x/eureka/v2');
    await made.stop();
    expect(clock.pending).toBe(0);
  });

  it('says that the look-up failed while no server is known', async () => {
    const { made, clock } = servers({ dns: { domain: 'd', region: 'r' } }, () => Promise.reject(new Error('SERVFAIL')));
    made.start();
    const run = expect(made.run(() => Promise.resolve('x'))).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining('SERVFAIL'),
    });
    await clock.settle();
    await run;
    await made.stop();
  });

  it('picks another server after its session, within 20 min ± 50 %', async () => {
    const clock = new ManualClock();
    const { made } = servers({ serviceUrls: 'a,b', shuffleServers: false }, lookup, clock);
    const used = async (): Promise<string> => made.run((server) => Promise.resolve(server.baseUrl));
    const first = await used();
    await clock.advance(9 * 60_000);
    expect(await used()).toBe(first);
    await clock.advance(21 * 60_000);
    expect(await used()).not.toBe(first);
  });

  it('keeps this client’s order of the servers of a zone', () => {
    let state = 7;
    const random = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
    const { connection } = resolveEurekaOptions({ serviceUrls: 'a,b,c,d,e,f,g,h' });
    const common = {
      backend: 'eureka',
      clock: new ManualClock(),
      logger: silentLogger,
      connection,
      appZone: undefined,
    };
    const one = new EurekaServers({ ...common, random });
    const other = new EurekaServers({ ...common, random });
    expect(one.urls.toSorted()).toEqual(other.urls.toSorted());
    expect(one.urls).not.toEqual(other.urls);
    const before = one.urls;
    one.setAmazonZone('x');
    expect(one.urls).toEqual(before);
  });

  it('knows its zone: told, the app’s, Amazon’s, the first given, default', () => {
    const zoneOf = (options: EurekaOptions, appZone?: string) => {
      const { connection } = resolveEurekaOptions(options);
      const clock = new ManualClock();
      return new EurekaServers({ backend: 'e', clock, logger: silentLogger, random: Math.random, connection, appZone });
    };
    expect(zoneOf({ zone: 'z' }, 'app').zone).toBe('z');
    expect(zoneOf({}, 'app').zone).toBe('app');
    const zones = { availabilityZones: { first: 'a', second: 'b' } };
    expect(zoneOf(zones).zone).toBe('first');
    expect(zoneOf({}).zone).toBe('default');
    const amazon = zoneOf(zones);
    amazon.setAmazonZone('second');
    expect(amazon.zone).toBe('second');
    expect(amazon.urls[0]).toBe('http://b/eureka');
  });
});
