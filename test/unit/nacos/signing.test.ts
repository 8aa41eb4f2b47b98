import { describe, expect, it } from 'vitest';
import { aesDecrypt, aesEncrypt } from '../../../lib/backends/nacos/client/config/cipher.js';
import { derivedKey, hmacSha1, md5, signatureHeaders } from '../../../lib/backends/nacos/client/signing.js';

const now = 1_700_000_000_000;
const keys = { accessKey: 'ak', secretKey: 'sk' };

describe('signatures with access keys', () => {
  it('of configuration requests', () => {
    const of = (resource: { tenant?: string; group?: string }): string | undefined =>
      signatureHeaders({ kind: 'config', ...resource }, keys, now)['Spas-Signature'];
    expect(of({ tenant: 'ns1', group: 'DEFAULT_GROUP' })).toBe('wdSk2EJqQ9PEOZEFfPUnyLo4TUg=');
    expect(of({ group: 'DEFAULT_GROUP' })).toBe('9hbrlmLnPXkuBl5HFQwTAQFJlLo=');
    expect(of({})).toBe('j6e8xo98pWxGWgrhNTYfhcWEDPQ=');
    expect(signatureHeaders({ kind: 'config' }, { ...keys, securityToken: 'sts' }, now)).toMatchObject({
      'Spas-AccessKey': 'ak',
      'Spas-SecurityToken': 'sts',
      Timestamp: String(now),
    });
  });

  it('of naming requests', () => {
    const resource = { kind: 'naming', serviceName: 'nacos.test.1', groupName: 'DEFAULT_GROUP' } as const;
    expect(signatureHeaders(resource, keys, now)).toEqual({
      ak: 'ak',
      data: '1700000000000@@DEFAULT_GROUP@@nacos.test.1',
      signature: 'KwG1VNG5QZ4Si5DxVfd51PusLE0=',
    });
    expect(signatureHeaders({ kind: 'naming' }, keys, now)['data']).toBe(String(now));
  });

  it('of version 4, with a key for a day and a region', () => {
    const key = derivedKey('sk', 'cn-hangzhou', new Date('2023-11-14T10:00:00Z'));
    expect(key).toBe('IGCvc/fSK7JIX9pc3eYoG/ZIg1bi/P83BeO96H1A1fY=');
    expect(hmacSha1(key, 'DEFAULT_GROUP+1700000000000')).toBe('PFIWfaMhjUi+/w94ywq+ywBMN4A=');
    expect(signatureHeaders({ kind: 'config', group: 'DEFAULT_GROUP' }, keys, now, 'cn-hangzhou')).toMatchObject({
      signatureVersion: 'v4',
      'Spas-Signature': 'PFIWfaMhjUi+/w94ywq+ywBMN4A=',
    });
  });

  it('MD5 and AES as the other SDKs have them', () => {
    expect(md5('Hello world')).toBe('3e25960a79dbc69b674cd4ec67a72c62');
    expect(aesEncrypt('Hello world', 'AAECAwQFBgcICQoLDA0ODw==')).toBe('8BDICXPOB6oHF8virJcYcg==');
    expect(aesDecrypt('8BDICXPOB6oHF8virJcYcg==', 'AAECAwQFBgcICQoLDA0ODw==')).toBe('Hello world');
  });
});
