import { describe, expect, it } from 'vitest';
import type { LogLevel } from '../../../lib/backend/index.js';
import { standaloneEnvironment } from '../../../lib/backends/nacos/client/environment.js';
import {
  assertContent,
  checkConfigKey,
  publishExtras,
  toConfigItem,
} from '../../../lib/backends/nacos/client/config/model.js';

describe('an item of configuration', () => {
  it('is read with the MD5 of old servers, which leave zeros out, and not with a wrong one', () => {
    // Its MD5 begins with a zero.
    const [content, whole] = ['jk8ssl', '0000000018e6137ac2caab16074784a6'];
    for (const given of [whole, whole.replace(/^0+/, ''), whole.slice(1).toUpperCase()]) {
      expect(toConfigItem({ content, md5: given }, 'a')).toMatchObject({ content, md5: whole });
    }
    expect(() => toConfigItem({ content: 'other', md5: whole }, 'a')).toThrow(/MD5/);
  });
});

describe('publications of configuration', () => {
  it('carry every parameter under the name that the server knows', () => {
    expect(
      publishExtras({
        dataId: 'a',
        content: 'x',
        tag: 't',
        appName: 'app',
        betaIps: ['1.1.1.1', '2.2.2.2'],
        type: 'json',
        srcUser: 'u',
        encryptedDataKey: 'k',
        configTags: 'c',
        description: 'd',
        use: 'us',
        effect: 'e',
        schema: 's',
      }),
    ).toEqual({
      tag: 't',
      appName: 'app',
      betaIps: '1.1.1.1,2.2.2.2',
      type: 'json',
      src_user: 'u',
      encryptedDataKey: 'k',
      config_tags: 'c',
      desc: 'd',
      use: 'us',
      effect: 'e',
      schema: 's',
    });
    expect(publishExtras({ dataId: 'a', content: 'x', tag: '' })).toEqual({});
    expect(publishExtras({ dataId: 'a', content: 'x', betaIps: '1.1.1.1' })).toEqual({ betaIps: '1.1.1.1' });
  });

  it('have content, and names of letters and digits', () => {
    expect(() => assertContent('  ', 'a')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(checkConfigKey({ dataId: 'a:b.c-d_é', group: '' }, 'ns')).toEqual({
      dataId: 'a:b.c-d_é',
      group: 'DEFAULT_GROUP',
      tenant: 'ns',
    });
    expect(() => checkConfigKey({ dataId: 'a', group: 'x/y' }, '')).toThrow(
      expect.objectContaining({ code: 'INVALID_NAME', field: 'group' }),
    );
    expect(() => checkConfigKey({ dataId: 'a'.repeat(257) }, '')).toThrow(
      expect.objectContaining({ code: 'INVALID_NAME', field: 'dataId' }),
    );
  });
});

describe('the log of a client that stands alone', () => {
  it('has what its level says, and nothing by default', () => {
    const written = (level: LogLevel | undefined): readonly string[] => {
      const lines: string[] = [];
      const write = (line: string): void => void lines.push(line);
      const { logger } = standaloneEnvironment({ error: write, warn: write, log: write, debug: write }, level);
      logger.debug('debug');
      logger.log('log');
      logger.warn('warn');
      logger.error('error');
      return lines;
    };
    expect(written(undefined)).toEqual(['log', 'warn', 'error']);
    expect(written('debug')).toHaveLength(4);
    expect(written('warn')).toEqual(['warn', 'error']);
    expect(written('silent')).toEqual([]);
    standaloneEnvironment(undefined, undefined).logger.error('to nobody');
  });
});
