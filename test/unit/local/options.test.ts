import { userInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { local } from '../../../lib/backends/local/index.js';
import { resolveLocalOptions } from '../../../lib/backends/local/local.options.js';
import { DiscoveryError } from '../../../lib/model/index.js';

function refusal(options: unknown): DiscoveryError {
  try {
    Reflect.apply(local, undefined, [options]);
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('options of local()', () => {
  it('has defaults, a folder per user among them', () => {
    const settings = resolveLocalOptions({});
    expect(settings).toMatchObject({ name: 'local', namespace: 'default', leaseMs: 15_000, pollMs: 2000 });
    expect(settings.directory).toContain(`nestjs-service-discovery-${userInfo().uid}`);
    expect(settings.configDirectory).toBe(`${process.cwd()}/config`);
  });

  it.each([
    [{ direktory: '/tmp/x' }, 'INVALID_OPTION', 'direktory'],
    [{ leaseMs: 'soon' }, 'INVALID_OPTION', 'leaseMs'],
    [{ leaseMs: 1 }, 'INVALID_OPTION', 'leaseMs'],
    [{ pollMs: 0 }, 'INVALID_OPTION', 'pollMs'],
    [{ directory: '' }, 'INVALID_OPTION', 'directory'],
    [{ instances: { STOCK: 'http://10.0.0.5' } }, 'INVALID_OPTION', 'instances.STOCK'],
    [{ instances: { STOCK: [5] } }, 'INVALID_OPTION', 'instances.STOCK[0]'],
    [{ namespace: '../others' }, 'INVALID_NAME', 'namespace'],
    [{ name: 'a/b' }, 'INVALID_NAME', 'name'],
    [{ instances: { '../x': [] } }, 'INVALID_NAME', 'instances.../x'],
    [{ instances: { S: ['http://a:70000'] } }, 'INVALID_INSTANCE', 'instances.S[0]'],
    [{ instances: { S: ['http://ok:1', 'nonsense'] } }, 'INVALID_INSTANCE', 'instances.S[1]'],
    [{ instances: { S: ['http://a:1/path'] } }, 'INVALID_INSTANCE', 'instances.S[0]'],
    [{ instances: { S: ['http://a:1?q=1'] } }, 'INVALID_INSTANCE', 'instances.S[0]'],
    [{ instances: { S: ['grpc://a'] } }, 'INVALID_INSTANCE', 'instances.S[0]'],
    [null, 'INVALID_OPTION', 'options'],
  ])('refuses %j, naming the field', (options, code, field) => {
    expect(refusal(options)).toMatchObject({ code, field });
  });

  it('refuses reserved words as services', () => {
    expect(refusal(JSON.parse('{"instances":{"__proto__":["http://a:1"]}}')).field).toBe('instances.__proto__');
  });

  it('never shows the password of a static URL', () => {
    for (const url of ['http://user:hunter2@a:1', 'http://user:hunter2@a:70000', 'http://:hunter2@']) {
      const error = refusal({ instances: { S: [url] } });
      expect(error.code).toBe('INVALID_INSTANCE');
      expect(JSON.stringify([error.message, String(error.cause)])).not.toContain('hunter2');
    }
  });

  it('reads static URLs of every kind, each once', () => {
    const { instances } = resolveLocalOptions({
      instances: {
        STOCK: ['http://10.0.0.5', 'https://stock.example/', 'http://[::1]:81', 'grpc://g:9', 'http://10.0.0.5:80'],
      },
    });
    expect(instances.get('STOCK')?.map((instance) => instance.url)).toEqual([
      'http://10.0.0.5:80',
      'https://stock.example:443',
      'http://[::1]:81',
      'grpc://g:9',
    ]);
  });
});
