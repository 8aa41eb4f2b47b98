import { describe, expect, it } from 'vitest';
import { LOG_LEVELS, withLevel, type LogLevel, type Logger } from '../../../lib/backend/index.js';

const SEVERITIES = ['debug', 'log', 'warn', 'error'] as const;

describe('withLevel', () => {
  const written = (level: LogLevel): readonly string[] => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const logger: Logger = withLevel({ error: write, warn: write, log: write, debug: write }, level);
    for (const severity of SEVERITIES) logger[severity](severity);
    return lines;
  };

  it.each<[LogLevel, number]>([
    ['debug', 0],
    ['log', 1],
    ['warn', 2],
    ['error', 3],
    ['silent', 4],
  ])('%s: that severity and the graver ones', (level, from) => {
    expect(written(level)).toEqual(SEVERITIES.slice(from));
    expect(LOG_LEVELS).toContain(level);
  });

  it('keeps the logger itself, which may need it', () => {
    class Counting implements Logger {
      count = 0;
      error(): void {
        this.count += 1;
      }
      warn(): void {
        this.error();
      }
      log(): void {
        this.error();
      }
      debug(): void {
        this.error();
      }
    }
    const counting = new Counting();
    const logger = withLevel(counting, 'warn');
    for (const severity of SEVERITIES) logger[severity]('x');
    expect(counting.count).toBe(2);
  });
});
