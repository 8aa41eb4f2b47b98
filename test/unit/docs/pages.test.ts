import { describe, expect, test } from 'vitest';
import { checkLinks } from '../../docs/links.js';
import { logLines } from '../../docs/log-lines.js';
import { anchorsOf, blocksOf, type Page } from '../../docs/pages.js';

const fence = '```';
const page = (path: string, text: string): Page => ({ path, text, blocks: blocksOf(path, text) });

describe('blocks', () => {
  test('say how they are checked, and have what a comment before them declares', () => {
    const text = [
      '<!-- ts\ndeclare const db: object;\n-->',
      '',
      `${fence}ts file=app.ts no-run: it would listen\nuse(db);\n${fence}`,
      '',
      `${fence}ts continues\nmore();\n${fence}`,
      '',
      `- a list\n\n  ${fence}sh eventually\n  ls\n  ${fence}`,
      '',
      `${fence}text output\n1…\n${fence}`,
    ].join('\n');
    expect(blocksOf('a.md', text)).toMatchObject([
      {
        line: 5,
        language: 'ts',
        text: 'use(db);',
        hidden: 'declare const db: object;\n',
        file: 'app.ts',
        noRun: 'it would listen',
      },
      { language: 'ts', text: 'more();', continues: true, hidden: '' },
      { language: 'sh', text: 'ls', eventually: true },
      { language: 'text', text: '1…', output: true },
    ]);
  });

  test.each(['ts runs', 'ts no-run', 'ts no-run:', 'ts file='])('%s means nothing', (marks) => {
    expect(() => blocksOf('a.md', `${fence}${marks}\n${fence}`)).toThrow(/means nothing/);
  });

  test('have an end', () => {
    expect(() => blocksOf('a.md', `text\n${fence}ts\n1;`)).toThrow('a.md:2: the block has no end');
  });
});

test('anchors are those of GitHub', () => {
  const text = [
    '# `nats()`, and what it *can’t* do',
    '## What [it](x.md) does: 1/2',
    '## Twice',
    '## Twice',
    `${fence}sh\n# no heading\n${fence}`,
  ].join('\n\n');
  expect([...anchorsOf(text)]).toEqual(['nats-and-what-it-cant-do', 'what-it-does-12', 'twice', 'twice-1']);
});

describe('links', () => {
  const index = page('docs/README.md', '# All\n\n[a](consul.md)');
  test('are followed, in the prose only', () => {
    const text = `# A\n\n[all](README.md#all) [own](#a) [web](https://x.y) \`[no](no.md)\`\n\n${fence}md\n[no](no.md)\n${fence}`;
    expect(checkLinks([index, page('docs/consul.md', text)])).toEqual([]);
  });

  test.each([
    ['[x](gone.md)', 'there is no such file'],
    ['[x](../README.md#gone)', 'there is no such heading'],
    ['[x](#gone)', 'there is no such heading'],
    ['[x](../test/docs/pages.ts)', 'the tarball has the page and not this'],
  ])('%s: %s', (text, problem) => {
    const readme = page('README.md', '# Here');
    expect(checkLinks([readme, page('docs/README.md', `# All\n\n${text}`)])).toEqual([
      expect.stringContaining(problem) as string,
    ]);
  });

  test('a page that nothing leads to is told', () => {
    expect(checkLinks([page('docs/README.md', '# All'), page('docs/lost.md', '# Lost')])).toEqual([
      'docs/lost.md: docs/README.md has no link to it',
    ]);
  });
});

test('log lines are found as they stand in the source', () => {
  const lines = logLines();
  // One that is a text, one with parts, one of a function that returns it, one of a condition.
  expect(lines).toContain('the app is healthy again');
  expect(lines).toContain('… requests or messages were still being answered: they are cut off');
  expect(lines).toContain('a stop may take … s: in Kubernetes terminationGracePeriodSeconds must be … or more');
  expect(lines).toContain('…: the status of … is its own again');
});
