import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerError } from '../../../lib/backend/index.js';
import { rejectionOf } from './helpers.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'optional-peer-'));
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), text);
  };
  await write('package.json', '{ "type": "module" }');
  await write('load.cjs', 'module.exports = (file) => import(file);');
  await write('good.mjs', 'export const answer = 42;');
  await write('missing.mjs', "import 'nats';");
  await write('subpath.mjs', "import 'nats/deep.js';");
  await write('needs.mjs', "import 'nats-needing-package';");
  await write('throws.mjs', "import 'nats-throwing-package';");
  await write('node_modules/nats-throwing-package/package.json', '{ "type": "module", "main": "i.js" }');
  await write('node_modules/nats-throwing-package/i.js', "throw new TypeError('broken inside');");
  await write('node_modules/nats-needing-package/package.json', '{ "type": "module", "main": "i.js" }');
  await write('node_modules/nats-needing-package/i.js', "import 'its-own-dependency';");
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** Node's own import, past the test runner's. */
const load = (file: string): Promise<unknown> =>
  (createRequire(join(root, 'x.js'))('./load.cjs') as (file: string) => Promise<unknown>)(`./${file}`);

/** As each backend loads its package. */
async function loadOptionalPeer(backend: string, name: string, load: () => Promise<unknown>): Promise<unknown> {
  try {
    return await load();
  } catch (error) {
    throw peerError(backend, name, error);
  }
}

describe('peerError', () => {
  it('gives the package', async () => {
    expect(await loadOptionalPeer('nats', 'good', () => load('good.mjs'))).toMatchObject({ answer: 42 });
  });

  it.each(['missing.mjs', 'subpath.mjs'])('tells how to install a package that is missing (%s)', async (file) => {
    const error = await rejectionOf(loadOptionalPeer('nats', 'nats', () => load(file)));
    expect(error).toMatchObject({
      code: 'MISSING_PEER',
      backend: 'nats',
      field: 'nats',
      message: 'the nats backend needs the package nats: npm install nats',
      cause: { code: 'ERR_MODULE_NOT_FOUND' },
    });
  });

  it('knows the error of require() too', async () => {
    const require = createRequire(join(root, 'x.js'));
    const error = await rejectionOf(loadOptionalPeer('nats', 'nats', async () => require('nats') as unknown));
    expect(error.message).toContain('npm install nats');
    expect(error.cause).toMatchObject({ code: 'MODULE_NOT_FOUND' });
  });

  it('knows the error of Yarn’s Plug’n’Play', async () => {
    const words = "Your application tried to access nats, but it isn't declared in your dependencies";
    const error = await rejectionOf(
      loadOptionalPeer('nats', 'nats', () =>
        Promise.reject(Object.assign(new Error(words), { code: 'MODULE_NOT_FOUND' })),
      ),
    );
    expect(error).toMatchObject({ code: 'MISSING_PEER' });
    expect(error.message).toContain('npm install nats');
  });

  it('keeps the error of a package that is there but throws', async () => {
    const error = await rejectionOf(loadOptionalPeer('nats', 'nats-throwing-package', () => load('throws.mjs')));
    expect(error.code).toBe('PEER_UNUSABLE');
    expect(error.message).toContain('could not be loaded: broken inside');
    expect(error.message).not.toContain('npm install');
    expect(error.cause).toBeInstanceOf(Error);
  });

  it('does not blame a package that is there for a missing package of its own', async () => {
    const error = await rejectionOf(loadOptionalPeer('nats', 'nats-needing-package', () => load('needs.mjs')));
    expect(error.message).toContain('could not be loaded');
    expect(error.message).toContain('its-own-dependency');
    expect(error.message).not.toContain('npm install');
  });

  it('takes whatever is thrown, at once too', async () => {
    const error = await rejectionOf(
      loadOptionalPeer('b', 'p', () => {
        throw new Error('at once');
      }),
    );
    expect(error.message).toContain('at once');
  });
});
