import { describe, expect, it } from 'vitest';
import { serverTexts } from '../../../lib/backend/index.js';
import { nacos } from '../../../lib/backends/nacos/index.js';
import { eureka } from '../../../lib/backends/eureka/index.js';
import { nats } from '../../../lib/backends/nats/index.js';
import { zookeeper } from '../../../lib/backends/zookeeper/index.js';

describe('servers in an option', () => {
  it.each([
    ['a:1, b:2 ,', ['a:1', 'b:2']],
    [
      ['a:1,b:2', ' c:3 '],
      ['a:1', 'b:2', 'c:3'],
    ],
    [['http://admin:12,34@host'], ['http://admin:12,34@host']],
    ['u:p@a,u:p@b', ['u:p@a', 'u:p@b']],
    ['http://u:p@a,http://u:p@b', ['http://u:p@a', 'http://u:p@b']],
  ])('%j is %j', (given, expected) => {
    expect(serverTexts(given, 'x', 'x')).toEqual(expected);
  });

  it.each(['http://admin:12,34@host', 'a,secret@host', ['nats://u:secret@a,nats://u:secret@b']])(
    '%j could send a part of a password elsewhere: refused, and not shown',
    (given) => {
      expect(() => serverTexts(given, 'x(): servers', 'servers')).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTION',
          field: 'servers',
          message: expect.not.stringMatching(/34|secret/) as string,
        }) as Error,
      );
    },
  );

  it('are so at every backend', () => {
    const servers = 'http://admin:12,34@host';
    for (const make of [
      () => eureka({ serviceUrls: servers }),
      () => nacos({ serverAddresses: servers }),
      () => nats({ servers }),
      () => zookeeper({ servers }),
    ]) {
      expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }) as Error);
      expect(make).toThrow(/comma that may be part of a password/);
    }
  });
});
