import { expect, it } from 'vitest';
import { reported } from '../../../lib/backends/nats/connection/errors.js';

class PermissionViolationError extends Error {
  override name = 'PermissionViolationError';
}

it('what a server reports again and again is of one kind, whatever subject it names', () => {
  const of = (subject: string) => reported({ type: 'error', error: new PermissionViolationError(`no ${subject}`) });
  expect(of('_INBOX.a')).toEqual({ kind: 'a PermissionViolationError', text: 'no _INBOX.a' });
  expect(of('_INBOX.b').kind).toBe(of('_INBOX.a').kind);
  expect(reported({ type: 'error', data: 'PERMISSIONS_VIOLATION' })).toEqual({
    kind: 'an error',
    text: 'PERMISSIONS_VIOLATION',
  });
});

it('nothing secret of a URL is told', () => {
  expect(reported({ type: 'error', error: new Error('nats://u:p@host refused') }).text).toBe('nats://host refused');
});
