import { describe, expect, it } from 'vitest';
import {
  commandLineLayers,
  entriesOf,
  EnvironmentLayer,
  explain,
  isSecretKey,
  MASK,
  PropertyTree,
  readDocument,
  type ConfigLayer,
} from '../../../lib/config/index.js';
import { resolvePlaceholders } from '../../../lib/config/placeholders.js';
import { applies } from '../../../lib/config/profile-condition.js';

const document = (name: string, data: object): ConfigLayer => ({
  kind: 'document',
  backend: 'b',
  document: name,
  entries: entriesOf(name, data),
});

function treeOf(documents: readonly ConfigLayer[], env: Record<string, string> = {}, args: readonly string[] = []) {
  const environment = new EnvironmentLayer(env);
  return PropertyTree.merge([...documents, ...environment.layers, ...commandLineLayers(args)], environment.find);
}

describe('keys', () => {
  it.each(['db.poolSize', 'db.pool-size', 'db.pool_size', 'db.POOL_SIZE', 'DB.poolsize'])(
    'are found as %s, however they are written',
    (key) => {
      for (const written of ['poolSize', 'pool-size', 'pool_size', 'POOLSIZE']) {
        expect(treeOf([document('a', { db: { [written]: 5 } })]).get(key)).toBe(5);
      }
    },
  );

  it('override each other in whatever spelling; one that is written exactly so wins in its document', () => {
    const tree = treeOf([document('low', { db: { poolSize: 1, url: 'x' } }), document('high', { 'db.pool-size': 2 })]);
    expect(tree.get('db.poolSize')).toBe(2);
    expect(tree.get('db')).toEqual({ 'pool-size': 2, url: 'x' });
    const both = treeOf([document('a', { labels: { Foo: 1, foo: 2 } })]);
    expect([both.get('labels.Foo'), both.get('labels.foo')]).toEqual([1, 2]);
  });
});

describe('the environment', () => {
  const docs = [document('a', { db: { poolSize: 1, url: 'doc', port: 5432 }, path: 'doc', 'my-app': { on: false } })];

  it.each([
    ['SERVICE_CONFIG__DB__POOL_SIZE', 'db.poolSize'],
    ['SERVICE_CONFIG__DB__POOLSIZE', 'db.poolSize'],
    ['DB_POOL_SIZE', 'db.poolSize'],
    ['DB_POOLSIZE', 'db.pool-size'],
    ['MY_APP_ON', 'my-app.on'],
    ['SERVICE_CONFIG__PATH', 'path'],
    ['CHECKOUT_LIMIT', 'checkout.limit'],
  ])('%s is %s', (name, key) => {
    const tree = treeOf(docs, { [name]: '9' });
    expect(tree.get(key)).toBe('9');
    expect(explain(tree, key).origin).toEqual({ kind: 'environment', name });
  });

  it('keeps the spelling of the documents, so that objects have the same names', () => {
    expect(treeOf(docs, { SERVICE_CONFIG__DB__POOL_SIZE: '9' }).get('db')).toEqual({
      poolSize: '9',
      url: 'doc',
      port: 5432,
    });
    expect(treeOf(docs, { DB_POOL_SIZE: '9' }).get('db')).toEqual({ poolSize: '9', url: 'doc', port: 5432 });
    expect(treeOf(docs, { SERVICE_CONFIG__A__POOL_SIZE: '9' }).get('a')).toEqual({ poolSize: '9' });
  });

  it('has lists by index, and no keys for what is nobody’s configuration', () => {
    const env = { SERVICE_CONFIG__HOSTS__0: 'a', SERVICE_CONFIG__HOSTS__1: 'b' };
    expect(treeOf([], env).get('hosts')).toEqual(['a', 'b']);
    // A name of one part, an empty variable, reserved names, and what Kubernetes sets for a service called db.
    const others = { PATH: '/bin', DB_URL: '', SERVICE_CONFIG____PROTO____X: '1', SERVICE_CONFIG__CONSTRUCTOR__X: '1' };
    const links = { DB_PORT: 'tcp://10.0.0.1:5432', DB_SERVICE_HOST: '10.0.0.1', DB_SERVICE_PORT: '5432' };
    const tree = treeOf(docs, { ...others, ...links });
    expect([tree.get('path'), tree.get('db.url'), tree.get('db.port')]).toEqual(['doc', 'doc', 5432]);
    expect(tree.keys).toEqual(['db.poolSize', 'db.port', 'db.url', 'my-app.on', 'path']);
  });
});

describe('the command line', () => {
  it('wins over all', () => {
    const args = ['--db.url=line', '--feature.on', 'run', '-x', '--', '--db.url=after'];
    const tree = treeOf(
      [document('a', { db: { url: 'doc' } })],
      { DB_URL: 'env', SERVICE_CONFIG__DB__URL: 'env2' },
      args,
    );
    expect([tree.get('db.url'), tree.get('feature.on')]).toEqual(['line', 'true']);
    expect(explain(tree, 'db.url').origin).toEqual({ kind: 'command-line', name: '--db.url' });
  });
});

describe('documents of one text', () => {
  const holds = (condition: unknown, profiles: readonly string[], platform?: string): boolean =>
    applies(entriesOf('d', { 'spring.config.activate.on-profile': condition }), profiles, platform);

  it.each([
    ['prod', ['prod'], true],
    ['prod', ['dev'], false],
    ['!prod', ['dev'], true],
    ['prod & (eu | us)', ['prod', 'us'], true],
    ['prod & (eu | us)', ['prod'], false],
    ['dev, prod', ['prod'], true],
    [['a', 'b'], ['b'], true],
  ] as const)('with the condition %j for %j: %j', (condition, profiles, result) => {
    expect(holds(condition, profiles)).toBe(result);
  });

  it.each(['a & b | c', '(a', 'a)', '&', '!', 'a b'])('with a condition that can not be read: %s', (condition) => {
    expect(() => holds(condition, ['a'])).toThrow(
      expect.objectContaining({ code: 'CONFIG_DOCUMENT_INVALID', field: 'spring.config.activate.on-profile' }),
    );
  });

  it('on a platform', () => {
    const entries = entriesOf('d', { 'spring.config.activate.on-cloud-platform': 'kubernetes' });
    expect([applies(entries, [], 'kubernetes'), applies(entries, [], undefined)]).toEqual([true, false]);
  });
});

describe('placeholders', () => {
  const resolved = (data: object, fallback: Record<string, string> = {}): PropertyTree =>
    resolvePlaceholders(treeOf([document('a', data)]), (name) => fallback[name]);

  it.each([
    ['${b}', 'x'],
    ['http://${b}/${c.d}', 'http://x/7'],
    ['${none:def}', 'def'],
    ['${none:${b}}', 'x'],
    ['${none:}', ''],
    ['${none:http://h:1/p}', 'http://h:1/p'],
    ['${c.${which}}', 7],
    ['${list}', [1, 2]],
    ['${HOME}', '/root'],
    ['\\${b}', '${b}'],
    ['a ${ b } c', 'a x c'],
    ['${unclosed', '${unclosed'],
    ['$b {b}', '$b {b}'],
    ['${nested}', 'x!'],
  ])('%s is %j', (value, expected) => {
    const data = { a: value, b: 'x', c: { d: 7 }, which: 'd', list: [1, 2], nested: '${b}!' };
    expect(resolved(data, { HOME: '/root' }).get('a')).toEqual(expected);
  });

  it('that have no value stay as they are, and say so', () => {
    const tree = resolved({ a: 'x ${none}', b: '${a}' });
    expect(tree.get('a')).toBe('x ${none}');
    expect([explain(tree, 'a').unresolved, explain(tree, 'b').unresolved]).toEqual([['none'], ['none']]);
  });

  it.each([
    [{ a: '${a}' }, "'a' refers to itself: a → a"],
    [{ a: '${b}', b: '${c}', c: 'x${a}' }, 'a → b → c → a'],
  ])('in a circle are refused: %j', (data, message) => {
    expect(() => resolved(data)).toThrow(expect.objectContaining({ code: 'CONFIG_VALUE_INVALID' }));
    expect(() => resolved(data)).toThrow(message);
  });

  it('that grow without end are refused', () => {
    const data: Record<string, string> = { k0: 'x'.repeat(1000) };
    for (let i = 1; i < 30; i += 1) data[`k${i}`] = `\${k${i - 1}}\${k${i - 1}}`;
    expect(() => resolved(data)).toThrow(expect.objectContaining({ code: 'CONFIG_VALUE_INVALID' }));
    const long = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, `\${k${i + 1}}`]));
    expect(() => resolved(long)).toThrow(expect.objectContaining({ code: 'CONFIG_VALUE_INVALID' }));
  });
});

describe('explain', () => {
  it('says where a value comes from, and what it overrides', async () => {
    const layer = async (name: string, text: string): Promise<ConfigLayer> => {
      const content = { format: 'yaml', text } as const;
      const [entries = new Map()] = await readDocument({ id: name, revision: '1', content });
      return { kind: 'document', backend: 'consul', document: name, entries };
    };
    const layers = [
      await layer('application.yaml', 'db:\n  url: shared\n  user: u'),
      await layer('ORDERS.yaml', '# ours\ndb:\n\n  url: jdbc:${db.user}'),
    ];
    const tree = resolvePlaceholders(treeOf(layers), () => undefined);
    expect(explain(tree, 'db.url')).toEqual({
      key: 'db.url',
      spelledAs: 'db.url',
      value: 'jdbc:u',
      written: 'jdbc:${db.user}',
      origin: { kind: 'document', backend: 'consul', name: 'ORDERS.yaml', line: 4 },
      unresolved: [],
      secret: false,
      overrides: [
        { value: 'shared', origin: { kind: 'document', backend: 'consul', name: 'application.yaml', line: 2 } },
      ],
      keys: [],
    });
    expect(explain(tree, 'db')).toMatchObject({ value: undefined, origin: undefined, keys: ['db.url', 'db.user'] });
    expect(explain(tree, 'none')).toMatchObject({ value: undefined, overrides: [], keys: [] });
  });

  it('masks what is a secret by its name, also in what is overridden', () => {
    const tree = treeOf([document('low', { db: { password: 'old' } }), document('high', { db: { password: 'new' } })]);
    const told = explain(tree, 'db.password');
    expect([told.value, told.overrides[0]?.value, told.secret]).toEqual([MASK, MASK, true]);
    expect(JSON.stringify(told)).not.toMatch(/old|new/);
    for (const key of ['a.apiKey', 'a.api-key', 'x.token', 'jwt.secret', 'signing.key', 'AWS_SECRET_ACCESS_KEY'])
      expect(isSecretKey(key)).toBe(true);
    for (const key of ['keyspace', 'monkey', 'db.url', 'limit', 'key.size']) expect(isSecretKey(key)).toBe(false);
  });
});
