import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeChanged, encodeListening } from '../../../lib/backends/nacos/client/http/config-api.js';
import { encodeForm } from '../../../lib/backends/nacos/client/http/transport.js';

describe('the wire format of long polls', () => {
  const item = { dataId: 'a.yaml', group: 'DEFAULT_GROUP', md5: '3e25960a79dbc69b674cd4ec67a72c62' };

  it('is what other SDKs send', () => {
    expect(encodeForm({ 'Listening-Configs': encodeListening([{ ...item, tenant: 'ns1' }]) })).toBe(
      'Listening-Configs=a.yaml%02DEFAULT_GROUP%023e25960a79dbc69b674cd4ec67a72c62%02ns1%01',
    );
    for (const tenant of ['', 'public']) {
      expect(encodeListening([{ ...item, md5: '', tenant }])).toBe('a.yaml\u0002DEFAULT_GROUP\u0002\u0001');
    }
  });

  it('answers are read with and without a namespace', () => {
    expect(decodeChanged('a.yaml%02DEFAULT_GROUP%01\n', '')).toEqual([
      { dataId: 'a.yaml', group: 'DEFAULT_GROUP', tenant: '' },
    ]);
    expect(decodeChanged('a%02G%02ns1%01b%02H%01', '')).toEqual([
      { dataId: 'a', group: 'G', tenant: 'ns1' },
      { dataId: 'b', group: 'H', tenant: '' },
    ]);
    // The public namespace has two names; servers answer with either.
    for (const own of ['', 'public']) {
      expect(decodeChanged('a%02G%02public%01b%02H%01', own).map(({ tenant }) => tenant)).toEqual([own, own]);
    }
    expect(decodeChanged('', '')).toEqual([]);
  });

  it('garbage is no answer, and no crash', () => {
    expect(decodeChanged('%', '')).toEqual([]);
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => Array.isArray(decodeChanged(text, ''))));
  });
});
