import { expect, it } from 'vitest';
import { zookeeper } from '../../../lib/backends/zookeeper/index.js';

it('zookeeper() tells the new name of an option that was renamed', () => {
  expect(() => zookeeper({ operationWaitMs: 5 } as never)).toThrow('operationWaitMs is called `requestTimeoutMs`');
});
