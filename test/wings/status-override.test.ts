import { afterEach, describe, expect, it } from 'vitest';
import { consul } from '../../lib/backends/consul/index.js';
import { eureka } from '../../lib/backends/eureka/index.js';
import { nacos } from '../../lib/backends/nacos/index.js';
import type { BackendDefinition } from '../../lib/backend/index.js';
import type { CommandIo } from '../../lib/integrations/cli/command-io.js';
import { runCommand } from '../../lib/integrations/cli/run-command.js';
import { createRegistration } from '../../lib/model/index.js';
import { createContext, freshName, freshPort } from '../contract/contract-harness.js';
import { withServer } from '../servers/for-tests.js';
import { optionsFor } from './nacos/support.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Runs a command line; what it wrote, and how it ended. */
async function command(...args: readonly string[]) {
  let [out, err] = ['', ''];
  const io: CommandIo = { out: (text) => (out += text), err: (text) => (err += text), isTerminal: false, env: {} };
  return { status: await runCommand(args, io), out, err };
}

/** Registers an instance that renews its registration for as long as the test lasts. */
async function registered(definition: BackendDefinition, service: string, port: number) {
  const backend = definition.create(createContext([]));
  closing.push(() => backend.close());
  await backend.open();
  const lease = backend.registry?.register(createRegistration({ service, host: '127.0.0.1', port }));
  closing.push(() => lease?.revoke(AbortSignal.timeout(5000)));
  await lease?.registered;
  return lease?.registration.instanceId ?? '';
}

/** Takes an instance out and back by a command line, while it goes on renewing. */
async function outAndBack(registry: string, definition: BackendDefinition, wayBack: 'id' | 'address') {
  const service = freshName('overridden').toUpperCase();
  const port = freshPort();
  const instance = await registered(definition, service, port);
  const at = (id: string) => ['--registry', registry, '--service', service, '--instance', id];
  const asked = async () => (await command('status', ...at(instance))).out;
  await expect.poll(asked).toBe(`${instance} is UP\n`);
  const out = await command('status', 'OUT_OF_SERVICE', 'disk is full', ...at(instance));
  expect([out.err, out.status, out.out]).toEqual(['', 0, expect.stringContaining(`${instance} is OUT_OF_SERVICE at `)]);
  await expect.poll(asked).toMatch(/is (?:OUT_OF_SERVICE|UNKNOWN)\n$/);
  const back = await command('status', 'UP', '--json', ...at(wayBack === 'id' ? instance : `127.0.0.1:${port}`));
  expect([back.err, back.status]).toEqual(['', 0]);
  expect(JSON.parse(back.out)).toMatchObject({ service, status: 'UP' });
  await expect.poll(asked).toBe(`${instance} is UP\n`);
  const nobody = await command('status', 'OUT_OF_SERVICE', 'why', ...at('127.0.0.1:1'));
  expect([nobody.status, nobody.err]).toEqual([
    1,
    expect.stringMatching(/\[NO_INSTANCE\].* has no instance 127.0.0.1:1/),
  ]);
}

withServer('eureka', { variant: 'single' }, (server) => {
  it('the command takes an instance out of traffic by the status override of Eureka', () => {
    const { url } = server;
    return outAndBack(`eureka+${url}`, eureka({ serviceUrls: [url], heartbeatMs: 1000 }), 'id');
  });
});

withServer('consul', { variant: 'dev' }, (server) => {
  it('the command takes an instance out of traffic by the maintenance mode of Consul', () => {
    const { url } = server;
    const definition = consul({ address: url, check: { type: 'ttl', ttlMs: 3000 } });
    return outAndBack(`consul://${new URL(url).host}`, definition, 'id');
  });
});

describe.each(['open', '3'] as const)('Nacos, the server %s', (variant) => {
  withServer('nacos', { variant }, (server) => {
    it('the command takes an instance out of traffic as its console does', () => {
      const { serverAddresses, username, password } = optionsFor(server);
      const login = username === undefined ? '' : `${username}:${password}@`;
      const definition = nacos({
        serverAddresses: [String(serverAddresses)],
        ...(username === undefined ? {} : { username, password }),
      });
      return outAndBack(`nacos://${login}${String(serverAddresses)}`, definition, 'address');
    });
  });
});

it.each([
  ['local:/tmp/nobody', 'local has no status'],
  ['dns:{service}.example.com', 'dns has no status'],
])('of a registry that has no such word (%s) the command says so, and what else to do', async (registry, text) => {
  const at = ['--registry', registry, '--service', 'STOCK', '--instance', '1'];
  const ended = await command('status', 'OUT_OF_SERVICE', 'disk is full', ...at);
  expect([ended.status, ended.err]).toEqual([1, expect.stringContaining(`[UNSUPPORTED]: ${text}`)]);
  expect(ended.err).toContain('--operator');
});

it('the command needs to know which instance, and why', async () => {
  const wrong = [
    [['status', 'UP', '--service', 'STOCK'], 'give --service and --instance'],
    [['status', 'DOWN', '--service', 'STOCK', '--instance', '1'], 'status is UP or OUT_OF_SERVICE'],
    [['status', 'OUT_OF_SERVICE', '--service', 'STOCK', '--instance', '1'], 'why?'],
  ] as const;
  for (const [args, text] of wrong) {
    const ended = await command(...args);
    expect([ended.status, ended.err]).toEqual([2, expect.stringContaining(text)]);
  }
});
