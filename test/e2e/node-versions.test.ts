import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { provideNode } from '../servers/toolchains/node.js';

const script = fileURLToPath(new URL('node-versions/calls.mjs', import.meta.url));

/** Each Node's `fetch` is the undici that it brings, whose handlers are others from 8 on. */
test.each([
  [20, '6'],
  [22, '6'],
  [24, '7'],
  [26, '8'],
] as const)('the fetch of Node %i goes to services', async (major, undici) => {
  const node = await provideNode(major);
  const { stdout } = await promisify(execFile)(node, [script]);
  const posted = { method: 'POST', body: 'text' };
  const streamed = { method: 'PUT', body: 'stream' };
  expect(JSON.parse(stdout)).toEqual({
    undici: expect.stringMatching(new RegExp(`^${undici}\\.`)),
    hits: [10, 10],
    posted: [posted, posted, posted],
    streamed: [streamed, streamed],
    retried: Array.from({ length: 8 }, () => 'well'),
    near: 200,
    away: ['fetch failed', 'TypeError'],
    nobody: [
      ['fetch failed', 'NO_INSTANCE'],
      ['fetch failed', 'NO_INSTANCE'],
    ],
    aborted: 'AbortError',
    pending: 0,
  });
});
