import { Logger as NestLogger } from '@nestjs/common';
import { expect, it, vi } from 'vitest';
import { Host, singleLine, withLevel, type Logger } from '../../../lib/backend/index.js';
import { EurekaClient } from '../../../lib/backends/eureka/index.js';
import { systemClock } from '../../../lib/backend/index.js';
import { nestLogger } from '../../../lib/nest/nest-logger.js';

const EVIL = 'id\n[Nest] 1 - ERROR owned\r\u001b[31mred\u009b0m\u2028x';

function recorder(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (message: string): void => void lines.push(message);
  return { lines, logger: { error: write, warn: write, log: write, debug: write } };
}

const SEVERITIES = ['error', 'warn', 'log', 'debug'] as const;

it.each([
  ['a logger', singleLine],
  ['one with a level', (logger: Logger) => withLevel(logger, 'debug')],
  ['twice', (logger: Logger) => singleLine(singleLine(logger))],
  [
    'the one that a backend gives to its drivers',
    (logger: Logger) => new Host('x', { logger, clock: systemClock, random: Math.random, report() {} }).context.logger,
  ],
])('what is written is one line without control characters: %s', (_, wrap) => {
  const { logger, lines } = recorder();
  const wrapped = wrap(logger);
  for (const severity of SEVERITIES) wrapped[severity](EVIL);
  expect(lines).toHaveLength(4);
  for (const line of lines) {
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
    expect(line).toContain('id\\u000a[Nest] 1 - ERROR owned\\u000d\\u001b[31mred');
  }
});

it('Nest’s logger too', () => {
  const warn = vi.spyOn(NestLogger.prototype, 'warn').mockImplementation(() => {});
  nestLogger('x').warn(EVIL);
  expect(warn).toHaveBeenCalledWith(expect.stringMatching(/^id\\u000a\[Nest\]/));
  warn.mockRestore();
});

it('Eureka’s own client too, which has a logger of its own', async () => {
  const { logger, lines } = recorder();
  const client = new EurekaClient({ serviceUrls: ['http://127.0.0.1:1'], shouldRegister: false, logger });
  client.logger.error(EVIL);
  client.logger.flush();
  expect(lines.every((line) => !/[\n\r\u001b]/.test(line))).toBe(true);
  expect(lines.join()).toContain('\\u000a');
  await client.stop();
});
