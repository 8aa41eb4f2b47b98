import { checkBlocks } from './blocks.js';
import { checkLinks } from './links.js';
import { checkMessages } from './messages.js';
import { optionTables } from './option-tables.js';
import { pagePaths, readPage, type Page } from './pages.js';
import { checkPublicNames } from './public-names.js';

/** Everything that is checked of the pages, and what is wrong; `npm run docs:check` and a test ask. */
export async function checkDocs(): Promise<string[]> {
  const pages: Page[] = pagePaths()
    .filter((path) => path !== 'CHANGELOG.md')
    .map(readPage);
  return [
    ...checkLinks(pages),
    ...checkMessages(),
    ...checkPublicNames(),
    ...(await optionTables(false)),
    ...(await checkBlocks(pages)),
  ];
}

if (process.argv[1]?.endsWith('check.ts') === true) {
  const problems = await checkDocs();
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.stdout.write(problems.length === 0 ? 'the pages are right\n' : `${problems.length} problems\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
