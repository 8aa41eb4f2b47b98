import { describe, expect, it } from 'vitest';
import { neverArrived } from '../../../lib/backend/index.js';
import { DiscoveryError, type Attempt, type DiscoveryErrorCode } from '../../../lib/model/index.js';

const coded = (code: string): Error => Object.assign(new Error(code), { code });
const attempt = (code: string): Attempt => ({ target: 't', reason: 'r', code });
const ours = (code: DiscoveryErrorCode, details: { cause?: unknown; attempts?: Attempt[] } = {}): DiscoveryError =>
  new DiscoveryError(code, 'm', details);

describe('whether a failed write surely changed nothing', () => {
  it.each([
    ['refused', true, ours('BACKEND_REFUSED')],
    ['nobody listens', true, coded('ECONNREFUSED')],
    ['nobody listens at any address', true, new AggregateError([coded('ECONNREFUSED'), coded('EHOSTUNREACH')])],
    ['within ours', true, ours('BACKEND_UNAVAILABLE', { cause: coded('ENOTFOUND') })],
    [
      'at all servers',
      true,
      ours('BACKEND_UNAVAILABLE', { attempts: [attempt('ECONNREFUSED'), attempt('EAI_AGAIN')] }),
    ],
    [
      'refused by the servers that listen',
      true,
      ours('BACKEND_UNAVAILABLE', { attempts: [attempt('BACKEND_REFUSED'), attempt('ECONNREFUSED')] }),
    ],
    ['a proxy had no answer', false, ours('BACKEND_UNAVAILABLE', { attempts: [attempt('BACKEND_UNAVAILABLE')] })],
    ['reset', false, ours('BACKEND_UNAVAILABLE', { cause: coded('ECONNRESET') })],
    [
      'one of the servers reset it',
      false,
      ours('BACKEND_UNAVAILABLE', {
        attempts: [attempt('ECONNRESET'), attempt('ECONNREFUSED')],
        cause: coded('ECONNREFUSED'),
      }),
    ],
    ['too slow', false, ours('TIMEOUT', { cause: coded('ECONNREFUSED') })],
    ['given up', false, ours('ABORTED', { attempts: [attempt('ECONNREFUSED')] })],
    ['unknown', false, new Error('x')],
    ['nothing', false, undefined],
  ])('%s: %s', (_, expected, error) => expect(neverArrived(error)).toBe(expected));
});
