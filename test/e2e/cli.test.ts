import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppRegistration, DiscoveryModule } from '../../lib/index.js';
import { local } from '../../lib/backends/local/index.js';

const bin = fileURLToPath(new URL('../../dist/esm/integrations/cli/main.js', import.meta.url));

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as a user does, from its build. */
function cli(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], (error, stdout, stderr) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

describe('the command line, on the local backend', () => {
  let folder = '';
  let registry: readonly string[] = [];
  let end = async (): Promise<void> => {};

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cli-'));
    await mkdir(join(folder, 'config'));
    await writeFile(join(folder, 'config/application.yaml'), 'db:\n  url: shared\n  password: geheim');
    await writeFile(join(folder, 'config/SHOP.yaml'), 'db: { url: own }');
    registry = ['--registry', `local:${folder}/registry?config=${folder}/config`];
    const server = createServer((request, response) => {
      if (request.url === '/none') response.statusCode = 404;
      response.end(`${request.method} ${request.url} ${String(request.headers['x-a'])}`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const backend = local({ directory: join(folder, 'registry'), configDirectory: join(folder, 'config') });
    @Module({
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'STOCK', port, host: '127.0.0.1', metadata: { note: '\u001b[31m' } },
          registry: backend,
          config: backend,
          registration: 'manual',
        }),
      ],
    })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    await app.get(AppRegistration).register();
    end = async () => {
      await app.close();
      server.close();
      await rm(folder, { recursive: true, force: true });
    };
  });
  afterAll(() => end());

  it('lists services, and the instances of one, for people and for scripts', async () => {
    const services = await cli(['ls', ...registry]);
    expect(services.stdout).toMatch(/^SERVICE +INSTANCES +UP +STATE\nSTOCK +1 +1 +fresh\n$/);
    const instances = await cli(['ls', 'STOCK', ...registry]);
    expect(instances.stdout).toMatch(/UP +http:\/\/127\.0\.0\.1:\d+ .*note=\\u001b\[31m/);
    const json = JSON.parse((await cli(['ls', 'STOCK', '--json', ...registry])).stdout) as { status: string }[];
    expect(json.map(({ status }) => status)).toEqual(['UP']);
    expect((await cli(['ls', 'NONE', ...registry])).status).toBe(1);
  });

  it('calls a service', async () => {
    const done = await cli(['call', 'STOCK', 'POST', '/a?b=1', '-d', '{}', '-H', 'x-a: b', ...registry]);
    expect(done).toMatchObject({
      status: 0,
      stdout: 'POST /a?b=1 b\n',
      stderr: expect.stringMatching(/^200 OK in \d+ ms/) as string,
    });
    expect(await cli(['call', 'STOCK', 'GET', '/none', ...registry])).toMatchObject({ status: 1 });
    const nobody = await cli(['call', 'NONE', 'GET', '/', ...registry]);
    expect(nobody).toMatchObject({ status: 1, stderr: expect.stringContaining('[NO_INSTANCE]') as string });
  });

  it('reads, explains and writes configuration, and shows no secret', async () => {
    const of = [...registry, '--application', 'SHOP'];
    expect((await cli(['config', 'get', 'db.url', ...of])).stdout).toBe('own\n');
    const told = (await cli(['config', 'explain', 'db.url', ...of])).stdout;
    expect(told).toMatch(/own +local SHOP\.yaml:1\nshared +local application\.yaml:2 \(overridden\)/);
    const secret = (await cli(['config', 'explain', 'db.password', ...of])).stdout;
    expect(secret).toContain('******');
    expect(secret).not.toContain('geheim');
    expect((await cli(['config', 'get', 'none', ...of])).status).toBe(1);
    expect((await cli(['config', 'set', 'SHOP.yaml', 'db: { url: new }', ...of])).status).toBe(0);
    expect((await cli(['config', 'get', 'db.url', ...of])).stdout).toBe('new\n');
    const refused = await cli(['config', 'set', 'SHOP.yaml', 'db: [', ...of]);
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('CONFIG_DOCUMENT_INVALID') as string });
  });

  it('watches a service until it is interrupted', async () => {
    const child = spawn(process.execPath, [bin, 'watch', 'STOCK', ...registry]);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await expect.poll(() => output).toContain('UP');
    const ended = new Promise((resolve) => child.once('exit', (status, signal) => resolve([status, signal])));
    child.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
  });

  it("works with an app's own options, and registers nothing by them", async () => {
    const file = join(folder, 'discovery.config.mjs');
    const entry = new URL('../../dist/esm/backends/local/index.js', import.meta.url).href;
    const [directory, configDirectory] = [join(folder, 'registry'), join(folder, 'config')];
    await writeFile(
      file,
      `import { local } from '${entry}';
      const backend = local(${JSON.stringify({ directory, configDirectory })});
      export default { service: { name: 'SHOP' }, registry: [{ backend }], config: backend, registration: 'fail-fast' };`,
    );
    const services = await cli(['ls', '--json', '--config', file]);
    expect(JSON.parse(services.stdout)).toMatchObject([{ service: 'STOCK', up: 1 }]);
    expect((await cli(['config', 'get', 'db.url', '--config', file])).stdout).toBe('new\n');
    const none = await cli(['ls', '--config', join(folder, 'none.js')]);
    expect([none.status, none.stderr]).toEqual([2, expect.stringContaining("can't be read") as string]);
    await writeFile(join(folder, 'none.json'), '[]');
    expect((await cli(['ls', '--config', join(folder, 'none.json')])).stderr).toContain('has no options');
  });

  it('says what may be wrong, and ends with 1 when something is', async () => {
    const good = await cli(['doctor', ...registry]);
    expect(good.stdout).toMatch(/\+ +backend local +answers/);
    expect(good.stdout).toMatch(/services +1: STOCK/);
    expect(good.status).toBe(0);
    const bad = await cli(['doctor', '--json', '--timeout', '500', '--registry', 'consul://127.0.0.1:1']);
    const findings = JSON.parse(bad.stdout) as { what: string; is: string }[];
    expect(findings.find(({ what }) => what === 'backend consul')?.is).toBe('bad');
    expect(bad.status).toBe(1);
  });
});
