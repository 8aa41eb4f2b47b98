import { expect, test } from 'vitest';
import { outcomeOfError } from '../../../lib/balancing/index.js';

/** As grpc-js throws it. */
const grpcError = (code: number): Error => Object.assign(new Error('failed'), { code, details: 'why', metadata: {} });

test.each([
  [14, 'connection-failure'],
  [4, 'timeout'],
  // Answers of the application, and a caller who gave up.
  [1, 'cancelled'],
  [5, 'cancelled'],
])('what gRPC throws with code %d says %s of the instance that was picked', (code, outcome) => {
  expect(outcomeOfError(grpcError(code))).toBe(outcome);
});

test('a number that is no code of gRPC says nothing', () => {
  expect(outcomeOfError(Object.assign(new Error('own'), { code: 14 }))).toBe('cancelled');
});
