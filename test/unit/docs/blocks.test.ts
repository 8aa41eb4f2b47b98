import { expect, test } from 'vitest';
import { checkBlocks } from '../../docs/blocks.js';
import { blocksOf } from '../../docs/pages.js';

const fence = '```';

/** What is wrong with one page of these blocks. */
function problemsOf(...blocks: readonly string[]): Promise<string[]> {
  const text = blocks.map((block) => `${fence}${block}\n${fence}`).join('\n\n');
  return checkBlocks([{ path: 'unit.md', text, blocks: blocksOf('unit.md', text) }], 'unit');
}

test('what does not compile is told by the line of the page', async () => {
  const problems = await problemsOf('ts\nconst a: number = 1;', 'ts continues\nconst b: string = a;');
  expect(problems).toEqual(["unit.md:6: TS2322 Type 'number' is not assignable to type 'string'."]);
});

test('what throws, and what is not written that was said to be, are told', async () => {
  expect(await problemsOf('ts\nthrow new Error("no power");')).toEqual([expect.stringContaining('no power') as string]);
  expect(await problemsOf('ts\nconsole.log(1 + 1); // 3')).toEqual(["unit.md: its blocks don't write 3"]);
  expect(
    await problemsOf('ts file=a.ts\nexport const a = 2;', "ts\nimport { a } from './a.js';\nconsole.log(a); // 2"),
  ).toEqual([]);
});

test('what is marked so is compiled only, or not even that', async () => {
  expect(
    await problemsOf('ts no-run: it throws\nthrow new Error();', 'ts no-check: it is no TypeScript\nlet let'),
  ).toEqual([]);
});

test.each([
  ['json\n{ "a": }', 'expected'],
  ['yaml\na: [', ''],
  ['js\nlet a = (;', ''],
  ['sh\nif true', 'syntax error'],
  ['sh\nnpm run gone', 'package.json has no script gone'],
  ['sh\nnpx nestjs-gone', 'package.json has no command nestjs-gone'],
  ['ruby\nputs 1', 'its language is ruby'],
  ['\nwhat', 'its language is not said'],
])('a block in another language: %s', async (block, problem) => {
  expect(await problemsOf(block)).toEqual([expect.stringContaining(problem) as string]);
});

test('what is right in other languages is right', async () => {
  const right = ['json\n{ "a": 1 }', 'yaml\na: 1', 'js\nlet a = 1', 'sh\nnpm run build && ls', 'text\nanything'];
  expect(await problemsOf(...right)).toEqual([]);
});
