import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { PropertyTree, readDocument, type ConfigData } from '../../../lib/config/index.js';
import { provideSpringProgram, type SpringProgram } from '../spring-peer.js';

/**
 * The one difference: a key that YAML reads as no text is a text all the same with us, the one that is written; Spring puts what
 * it is read as in brackets.
 */
const KEYS: Readonly<Record<string, string>> = { '[true]': 'on', '[8]': '010', '[1.5]': '1.5' };

/** What Spring says of a key: the kind of its value, and its text. */
type SpringValue = readonly [kind: string, text: string];

const documents = fileURLToPath(new URL('documents/', import.meta.url));
const program = await provideSpringProgram('spring-reader', fileURLToPath(new URL('spring-reader', import.meta.url)));
if ('reason' in program && process.env['REQUIRE_SERVERS'] === '1') throw new Error(program.reason);

describe.skipIf('reason' in program)('the same YAML documents, read by Spring Boot and by us', async () => {
  const files = (await readdir(documents)).sort();
  let spring: Readonly<Record<string, Readonly<Record<string, SpringValue>>>> = {};

  beforeAll(async () => {
    const { java, jar } = program as SpringProgram;
    const { stdout } = await promisify(execFile)(java, ['-jar', jar, documents], { maxBuffer: 1e7 });
    spring = JSON.parse(stdout) as typeof spring;
  }, 60_000);

  it('are twenty', () => {
    expect(files).toHaveLength(20);
  });

  it.each(files)('%s', async (file) => {
    const text = await readFile(`${documents}${file}`, 'utf8');
    const parts = await readDocument({ id: file, revision: '1', content: { format: 'yaml', text } });
    const ours: Record<string, string> = {};
    for (const entries of parts) for (const [key, { value }] of entries) flatten(ours, key, value);
    // Merged, so that what a later document takes away doesn't count.
    expect(PropertyTree.merge(parts).keys.length).toBeGreaterThan(0);
    const theirs = Object.entries(spring[file] ?? {}).map(([key, value]) => [KEYS[key] ?? key, told(value)] as const);
    expect(ours).toEqual(Object.fromEntries(theirs));
  });
});

/** Spring has a list as keys with an index, and nothing at all as an empty text. */
function flatten(into: Record<string, string>, key: string, value: ConfigData): void {
  if (value instanceof Uint8Array) into[key] = `bytes ${Buffer.from(value).toString('base64')}`;
  else if (Array.isArray(value) && value.length > 0) {
    for (const [index, item] of value.entries()) flatten(into, `${key}[${index}]`, item as ConfigData);
  } else if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
    for (const [name, item] of Object.entries(value)) flatten(into, `${key}.${name}`, item as ConfigData);
  } else if (value === null || value === '' || Array.isArray(value)) into[key] = 'nothing';
  // Spring says nothing of an empty map.
  else if (typeof value !== 'object') into[key] = `${typeof value} ${String(value)}`;
}

function told([kind, text]: SpringValue): string {
  switch (kind) {
    case 'bytes':
      return `bytes ${text}`;
    case 'Boolean':
      return `boolean ${text}`;
    case 'Integer':
    case 'Long':
    case 'Double':
    case 'BigInteger':
      // What no number holds exactly stays a text with us.
      return Number.isSafeInteger(Number(text)) || /[.E]|Infinity|NaN/.test(text)
        ? `number ${Number(text)}`
        : `string ${text}`;
    default:
      return text === '' ? 'nothing' : `string ${text}`;
  }
}
