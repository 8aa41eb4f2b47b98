import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { logLines } from './log-lines.js';
import { readPage, root } from './pages.js';

/** The first columns of a page's tables, as code: the codes and the lines that it explains. */
function explained(path: string): Set<string> {
  return new Set([...readPage(path).text.matchAll(/^\| `([^`]+)` +\|/gm)].map(([, text = '']) => text));
}

/** Every `DiscoveryErrorCode`, from its source. */
function errorCodes(): string[] {
  const [, union = ''] = /export type DiscoveryErrorCode =([^;]+);/.exec(
    readFileSync(join(root, 'lib/model/errors.ts'), 'utf8'),
  ) ?? ['', ''];
  return [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code);
}

/** Codes and log lines of which no page says what they mean, and what is explained though nothing says it any more. */
export function checkMessages(): string[] {
  const codes = errorCodes();
  const lines = logLines();
  const problems: string[] = [];
  for (const page of ['docs/errors.md', 'docs/troubleshooting.md']) {
    const has = explained(page);
    problems.push(...codes.filter((code) => !has.has(code)).map((code) => `${page}: doesn't explain ${code}`));
    const gone = [...has].filter((text) => /^[A-Z][A-Z_]+$/.test(text) && !codes.includes(text));
    problems.push(...gone.map((code) => `${page}: explains ${code}, which is no code`));
  }
  const has = explained('docs/troubleshooting.md');
  problems.push(
    ...lines.filter((line) => !has.has(line)).map((line) => `docs/troubleshooting.md: lacks the line ${line}`),
  );
  const gone = [...has].filter(
    (text) => text.includes('…') && text.length > 16 && !lines.includes(text) && !PUT_TOGETHER.has(text),
  );
  return [...problems, ...gone.map((line) => `docs/troubleshooting.md: nothing writes the line ${line}`)];
}

/** Lines that the source puts together of parts. */
const PUT_TOGETHER = new Set(['… and more fail: too many to tell of each', '… works again, after …']);
