import { describe, expect, it } from 'vitest';
import {
  createRegistration,
  createServiceInstance,
  DiscoveryError,
  type ConfigDocument,
} from '../../lib/model/index.js';
import { parseServiceInfo } from '../../lib/backends/nacos/client/naming/model.js';
import { withoutSecretUrls } from '../../lib/backend/machinery/log-text.js';
import { readDocument } from '../../lib/config/index.js';
import { fuzz } from '../fuzz/fuzz.js';
import { TARGETS } from '../fuzz/targets.js';

describe('everything that reads takes hostile input', () => {
  it.each(TARGETS.map(({ name }, at) => [name, at] as const))('%s', async (_, at) => {
    const target = TARGETS[at];
    if (target === undefined) throw new Error('no such target');
    expect(await fuzz(target, 1, 100)).toBeUndefined();
  });
});

function documentOf(format: 'yaml' | 'json', text: string): ConfigDocument {
  return { id: 'id', revision: '1', content: { format, text } };
}

/** How much more time of the processor the second takes than the first. */
function growth(run: (times: number) => unknown): number {
  const cost = (times: number): number => {
    const costs = Array.from({ length: 5 }, () => {
      const began = process.cpuUsage();
      run(times);
      const { user, system } = process.cpuUsage(began);
      return user + system;
    });
    return Math.max(1, Math.min(...costs));
  };
  cost(1);
  return cost(8) / cost(1);
}

describe('what was found', () => {
  it('a long word without an end costs what it is long, not the square of it', () => {
    expect(growth((times) => withoutSecretUrls('null'.repeat(20_000 * times)))).toBeLessThan(32);
  });

  it('each of many errors of a YAML text is not looked for from the beginning', async () => {
    const texts = await Promise.all(
      [1, 8].map((times) => readDocument(documentOf('yaml', '&a [*a,*a]'.repeat(500 * times))).catch(String)),
    );
    expect(texts).toEqual([expect.stringContaining('at line 1, column'), expect.stringContaining('at line 1, column')]);
  });

  // Past a stack that is nearly full the engine itself can give up, and with it the process.
  it.each(['{', '[', '- ', '? ', 'a: [', '- - ', '{a: ', '[{', '!!map {', '&a {', '"', '"{', '\\', '|', '> '])(
    'YAML of nothing but %o is refused, however long',
    async (unit) => {
      const problem = await readDocument(documentOf('yaml', unit.repeat(100_000))).catch((error: unknown) => error);
      expect(problem instanceof DiscoveryError ? problem.code : problem).toBe('CONFIG_DOCUMENT_INVALID');
    },
  );

  it.each(['[', '{"a":'])('JSON that is nested as deep as can be is refused (%s)', async (unit) => {
    const text = `${unit.repeat(100_000)}1${(unit === '[' ? ']' : '}').repeat(100_000)}`;
    await expect(readDocument(documentOf('json', `{"a":${text}}`))).rejects.toMatchObject({
      code: 'CONFIG_DOCUMENT_INVALID',
      message: expect.stringContaining('nested deeper than 100') as string,
    });
  });

  it('keys of YAML that are no texts write nothing to the process’s warnings', async () => {
    const warnings: unknown[] = [];
    const listen = (warning: unknown): void => void warnings.push(warning);
    process.on('warning', listen);
    try {
      await readDocument(documentOf('yaml', '? {a: 1}\n: b')).catch(() => {});
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.removeListener('warning', listen);
    }
    expect(warnings).toEqual([]);
  });

  it.each([null, undefined, 1, 'text'])('%o is neither a registration nor an instance', (value) => {
    expect(() => createRegistration(value as never)).toThrow(expect.objectContaining({ code: 'INVALID_INSTANCE' }));
    expect(() => createServiceInstance(value as never)).toThrow(expect.objectContaining({ code: 'INVALID_INSTANCE' }));
  });

  it('a port that can’t be made a text is told of as it can be', () => {
    const skipped: string[] = [];
    const port = [{ toString: {} }];
    parseServiceInfo({ name: 'g@@s', hosts: [{ ip: '1.1.1.1', port }] }, (record) => skipped.push(record));
    expect(skipped).toEqual(['g@@s 1.1.1.1:a list']);
  });
});
