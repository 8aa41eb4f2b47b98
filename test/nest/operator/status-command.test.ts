import { expect, test } from 'vitest';
import { basicAuth } from '../../../lib/integrations/operator/index.js';
import type { CommandIo } from '../../../lib/integrations/cli/command-io.js';
import { runCommand } from '../../../lib/integrations/cli/run-command.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf, registered } from '../support.js';
import { startOperated } from './support.js';

/** Runs a command line; what it wrote, and how it ended. */
async function command(args: readonly string[], env: Record<string, string> = {}) {
  let [out, err] = ['', ''];
  const io: CommandIo = { out: (text) => (out += text), err: (text) => (err += text), isTerminal: false, env };
  return { status: await runCommand(args, io), out, err };
}

test('`status` tells whether an app takes traffic, takes it out and back, and says what is wrong', async () => {
  const registry = new InMemoryRegistry();
  const app = await startOperated('express', registry, { guard: basicAuth({ username: 'me', password: 'p@ss' }) });
  await registered(app);
  const port = portOf(app);
  const operator = ['--operator', `http://me:p%40ss@127.0.0.1:${port}/discovery`];
  const up = await command(['status', ...operator]);
  expect([up.status, up.out]).toEqual([
    0,
    expect.stringMatching(/^SHOP takes traffic\nREGISTRY .*\nin-memory +SHOP\S+ +UP +registered\n$/),
  ]);
  const out = await command(['status', 'OUT_OF_SERVICE', 'disk is full\u001b[31m', ...operator]);
  expect([out.status, out.out]).toEqual([
    0,
    expect.stringContaining('takes no traffic: it is paused: disk is full\\u001b[31m'),
  ]);
  expect(registry.instancesOf('SHOP')).toMatchObject([{ status: 'OUT_OF_SERVICE' }]);
  expect((await command(['status', ...operator])).status).toBe(1);
  const back = await command(['status', 'UP', '--json'], { DISCOVERY_OPERATOR: operator[1] ?? '' });
  expect([back.status, JSON.parse(back.out)]).toMatchObject([0, { ready: true, registration: { status: 'UP' } }]);
  expect(registry.instancesOf('SHOP')).toMatchObject([{ status: 'UP' }]);
  const wrong = [
    [['status'], 2, 'of which app?'],
    [['status', 'DOWN', ...operator], 2, 'status is UP or OUT_OF_SERVICE'],
    [['status', 'OUT_OF_SERVICE', ...operator], 2, 'why?'],
    [['status', '--operator', 'nonsense'], 2, 'must be a URL'],
    [['status', '--operator', `http://127.0.0.1:${port}/discovery`], 1, '401'],
    [['status', '--operator', `http://127.0.0.1:${port}/elsewhere`], 1, '404'],
    [['status', '--operator', 'http://127.0.0.1:1/discovery'], 1, "doesn't answer"],
    [['status', '--header', 'authorization: Bearer x', '--operator', `http://127.0.0.1:${port}/discovery`], 1, '401'],
  ] as const;
  for (const [args, status, text] of wrong) {
    const ended = await command(args);
    expect([ended.status, ended.err]).toEqual([status, expect.stringContaining(text)]);
    expect(ended.err).not.toContain('p@ss');
  }
});
