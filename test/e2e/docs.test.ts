import { expect, test } from 'vitest';
import { checkDocs } from '../docs/check.js';

// It needs the build, which every run of this project has.
test('every block of the pages compiles and runs, and every link leads somewhere', async () => {
  expect(await checkDocs()).toEqual([]);
});
