import { describe, expect, it } from 'vitest';
import { coloured, table, type CommandIo } from '../../../lib/integrations/cli/command-io.js';
import { runCommand } from '../../../lib/integrations/cli/run-command.js';

function recorder(isTerminal = false, env: Record<string, string> = {}) {
  const written = { out: '', err: '' };
  const io: CommandIo = {
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
    isTerminal,
    env,
  };
  return { io, written };
}

describe('what the command line prints', () => {
  it('is in columns, and shows no control characters of what comes from outside', () => {
    const text = table(
      ['A', 'BB'],
      [
        ['long', '\u001b[31mx\u001b[0m\n'],
        ['s', 'y'],
      ],
    );
    expect(text).toBe('A     BB\nlong  \\u001b[31mx\\u001b[0m\\u000a\ns     y\n');
  });

  it('has colours only on a terminal that wants them', () => {
    expect(coloured(recorder().io, 'red', 'x')).toBe('x');
    expect(coloured(recorder(true).io, 'red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(coloured(recorder(true, { NO_COLOR: '1' }).io, 'red', 'x')).toBe('x');
  });

  it.each([
    [[], 2, 'Usage'],
    [['--help'], 0, 'Usage'],
    [['nonsense'], 2, "'nonsense' is no command"],
    [['ls', '--nonsense'], 2, 'Unknown option'],
    [['ls', '--registry', 'redis://x'], 2, 'is no address of a registry'],
    [['ls', '--timeout', 'soon'], 2, '--timeout must be'],
  ] as const)('%j ends with %i, and says so', async (args, status, text) => {
    const { io, written } = recorder();
    expect(await runCommand(args, io)).toBe(status);
    expect(written.out + written.err).toContain(text);
  });
});
