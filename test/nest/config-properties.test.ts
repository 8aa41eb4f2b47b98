import { Injectable } from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  ConfigProperties,
  ConfigProperty,
  ConfigValue,
  EventHub,
  OnConfigChange,
  type ConfigObjectChange,
} from '../../lib/index.js';
import { configured, moduleWith } from './configured.js';
import { init } from './support.js';

class Pool {
  @ConfigProperty() readonly size: number = 5;
  @ConfigProperty({ optional: true }) readonly name?: string;
}

@ConfigProperties('db')
class DbProperties {
  @ConfigProperty() readonly url!: string;
  @ConfigProperty() readonly password!: string;
  @ConfigProperty() readonly maxWait: number = 100;
  @ConfigProperty({ of: String }) readonly hosts: string[] = [];
  @ConfigProperty() readonly pool!: Pool;
  readonly retries = 3;
  get dsn(): string {
    return `${this.url}?pool=${this.pool.size}`;
  }
}

@Injectable()
class Database {
  readonly changes: ConfigObjectChange<DbProperties>[] = [];
  constructor(readonly properties: DbProperties) {}
  @OnConfigChange(DbProperties) changed(change: ConfigObjectChange<DbProperties>): void {
    this.changes.push(change);
  }
}

const GOOD =
  "db:\n  url: a\n  password: 000415\n  max-wait: 7\n  hosts: [010, b]\n  pool: { size: '9' }\n  retries: '4'";

describe('@ConfigProperties', () => {
  test('is filled by the types of its properties, in whatever spelling', async () => {
    const { properties } = (await init(moduleWith(configured(GOOD), [Database]))).get(Database);
    expect(properties).toBeInstanceOf(DbProperties);
    expect(JSON.parse(JSON.stringify(properties))).toEqual({
      url: 'a',
      password: '000415',
      maxWait: 7,
      hosts: ['010', 'b'],
      pool: { size: 9 },
      retries: 4,
    });
    expect(properties.dsn).toBe('a?pool=9');
    expect(() => Object.assign(properties, { url: 'b' })).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
  });

  test('is exchanged as a whole, told of with the old and the new one, and keeps what it was when a value does not fit', async () => {
    const registry = configured(GOOD);
    const app = await init(moduleWith(registry, [Database]));
    const { properties, changes } = app.get(Database);
    const rejected: string[] = [];
    app.get(EventHub).on('config.rejected', ({ error }) => rejected.push(error.message));
    registry.setDocument(
      'application.yaml',
      GOOD.replace('url: a', 'url: b').replace('max-wait: 7', 'max-wait: x'),
      'yaml',
    );
    await expect.poll(() => rejected.length).toBe(1);
    expect(rejected[0]).toContain("'db.maxWait' must be a number");
    expect([properties.url, properties.maxWait]).toEqual(['a', 7]);
    registry.setDocument(
      'application.yaml',
      GOOD.replace('url: a', 'url: b').replace('max-wait: 7', 'max-wait: 8'),
      'yaml',
    );
    await expect.poll(() => properties.url).toBe('b');
    expect(changes).toHaveLength(1);
    const [change] = changes;
    expect([change?.path, change?.oldValue.url, change?.newValue.url, change?.newValue.maxWait]).toEqual([
      'db',
      'a',
      'b',
      8,
    ]);
    // What is elsewhere is none of its news.
    registry.setDocument(
      'application.yaml',
      `${GOOD.replace('url: a', 'url: b').replace('max-wait: 7', 'max-wait: 8')}\nother: 1`,
      'yaml',
    );
    await expect.poll(() => app.get(Database).properties.maxWait).toBe(8);
    expect(changes).toHaveLength(1);
  });

  test('readers never see a mixture, nor undefined, during a thousand swaps', async () => {
    @ConfigProperties('pair')
    class Pair {
      @ConfigProperty() readonly left!: number;
      @ConfigProperty() readonly right!: number;
    }
    @Injectable()
    class Reader {
      constructor(readonly pair: Pair) {}
    }
    const registry = configured('pair: { left: 0, right: 0 }');
    const app = await init(moduleWith(registry, [Reader], { configOptions: { debounceMs: 0 } }));
    const { pair } = app.get(Reader);
    let wrong = 0;
    let seen = 0;
    for (let i = 1; i <= 1000; i += 1) {
      registry.setDocument('application.yaml', `pair: { left: ${i}, right: ${i} }`, 'yaml');
      await new Promise((resolve) => setImmediate(resolve));
      seen += 1;
      if (pair.left !== pair.right || typeof pair.left !== 'number') wrong += 1;
    }
    await expect.poll(() => pair.left).toBe(1000);
    expect([seen, wrong]).toEqual([1000, 0]);
  });

  test('with a schema, which is given names in camel case and what the scalars were written as', async () => {
    const schema = z.object({ poolSize: z.number().min(1), pin: z.string(), on: z.boolean().default(true) });
    @ConfigProperties('app', { schema })
    class AppProperties {
      readonly poolSize!: number;
      readonly pin!: string;
      readonly on!: boolean;
    }
    @Injectable()
    class User {
      constructor(readonly properties: AppProperties) {}
    }
    const registry = configured('app: { pool-size: 3, pin: 0042 }');
    const app = await init(moduleWith(registry, [User]));
    expect({ ...app.get(User).properties }).toEqual({ poolSize: 3, pin: '0042', on: true });
    const rejected: string[] = [];
    app.get(EventHub).on('config.rejected', ({ error }) => rejected.push(error.message));
    registry.setDocument('application.yaml', 'app: { pool-size: 0, pin: 0042 }', 'yaml');
    await expect.poll(() => rejected.length).toBe(1);
    expect(rejected[0]).toContain('poolSize');
    expect(app.get(User).properties.poolSize).toBe(3);
  });

  test('an app that uses one that is not configured does not start; one that does not use it, does', async () => {
    await expect(init(moduleWith(configured('x: 1'), [Database]))).rejects.toMatchObject({
      code: 'CONFIG_VALUE_MISSING',
      field: 'db.url',
    });
    await init(moduleWith(configured('x: 1'), []));
  });

  test('what can not be such a class is refused when it is defined', () => {
    expect(() => {
      @ConfigProperties('x')
      class WithParameters {
        constructor(readonly a: string) {}
      }
      return WithParameters;
    }).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field: 'WithParameters' }));
    expect(() => {
      class Handler {
        @OnConfigChange(Pool) changed(): void {}
      }
      return Handler;
    }).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field: 'subject' }));
    expect(() => ConfigProperty({ of: Date as never })).toThrow(expect.objectContaining({ field: 'of' }));
  });
});

describe('@ConfigValue', () => {
  test('gives a list its element type, and a text what the scalar was written as', async () => {
    @Injectable()
    class Values {
      @ConfigValue('pwd') readonly pwd!: string;
      @ConfigValue('pwd') readonly number!: number;
      @ConfigValue('ids', { of: String }) readonly ids!: string[];
      @ConfigValue('csv', { of: Number }) readonly csv!: number[];
      @ConfigValue('ports', [80]) readonly ports!: number[];
      @ConfigValue('bin') readonly bin!: Buffer;
      @ConfigValue('v', { schema: z.string() }) readonly version!: string;
    }
    const registry = configured(
      "pwd: 000415\nids: [007, 08]\ncsv: 1, 2\nports: ['1', 2]\nbin: !!binary aGVsbG8=\nv: 1.10",
    );
    const values = (await init(moduleWith(registry, [Values]))).get(Values);
    expect({ ...values, bin: values.bin.toString() }).toEqual({
      pwd: '000415',
      number: 269,
      ids: ['007', '08'],
      csv: [1, 2],
      ports: [1, 2],
      bin: 'hello',
      version: '1.10',
    });
  });
});
