import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silentLogger, withoutSecrets, withoutSecretUrls } from '../../../lib/backend/index.js';

describe('withoutSecrets', () => {
  it.each([
    ['http://host:8761/eureka', 'http://host:8761/eureka'],
    ['http://user:pass@host:8761/eureka', 'http://host:8761/eureka'],
    ['http://user:p@ss@host/x', 'http://host/x'],
    ['http://token@host', 'http://host'],
    ['http://user:p%40ss@[::1]:80/x', 'http://[::1]:80/x'],
    ['http://u:one@a,http://u:two@b', 'http://a,http://b'],
    ['nats://u:one@a:4222,u:two@b:4222', 'nats://b:4222'],
    ['user:pass@host:4222', 'host:4222'],
    ['host:4222', 'host:4222'],
    ['http://host/x?accessToken=secret&a=u@b', 'http://host/x'],
    ['http://host?accessToken=s@cret', 'http://host'],
    ['http://host/x#secret\nsecret', 'http://host/x'],
    ['http://host/@scope/x', 'http://host/@scope/x'],
    ['', ''],
  ])('%j', (url, shown) => expect(withoutSecrets(url)).toBe(shown));

  it('never shows the user, the password or the query of a URL', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9@:;!$&*+=~-]{1,12}$/).map((text) => `S${text}S`);
    fc.assert(
      fc.property(secret, secret, secret, fc.boolean(), (user, password, query, scheme) => {
        const shown = withoutSecrets(`${scheme ? 'http://' : ''}${user}:${password}@host:80/path?token=${query}`);
        expect(shown).toBe(scheme ? 'http://host:80/path' : 'host:80/path');
      }),
    );
  });
});

describe('withoutSecretUrls', () => {
  it.each([
    ['no URL: a@b?', 'no URL: a@b?'],
    ['GET http://u:p@h/x?token=1 failed', 'GET http://h/x failed'],
    ["can't reach 'https://u:p@h/x?token=1'", "can't reach 'https://h/x'"],
    ['tried nats://u:p@a and nats://t@b', 'tried nats://a and nats://b'],
  ])('%j', (text, shown) => expect(withoutSecretUrls(text)).toBe(shown));
});

describe('silentLogger', () => {
  it('takes everything', () => {
    for (const level of ['error', 'warn', 'log', 'debug'] as const) {
      expect(silentLogger[level]('x')).toBeUndefined();
    }
  });
});
