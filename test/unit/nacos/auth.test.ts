import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../lib/backend/index.js';
import { isLoginFailure } from '../../../lib/backends/nacos/client/auth.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { authOf } from './auth-double.js';

/** A login that is answered by `answer`, asked for every second. */
async function asking(answer: () => { status: number; text: string }, seconds: number) {
  const clock = new ManualClock();
  const warnings: string[] = [];
  let logins = 0;
  const auth = authOf(
    clock,
    () => {
      logins += 1;
      return answer();
    },
    { ...silentLogger, warn: (line: string) => void warnings.push(line) },
  );
  const errors: unknown[] = [];
  for (let second = 0; second < seconds; second += 1) {
    await auth.headers({ kind: 'naming' }).catch((error: unknown) => errors.push(error));
    await clock.advance(1000);
  }
  return { auth, clock, warnings, errors, logins: () => logins };
}

describe('a login', () => {
  it.each([
    ['with a wrong password', { status: 403, text: 'unknown user!' }],
    ['with a wrong password, as 3.x says it', { status: 500, text: 'user not found' }],
  ])('%s is tried less and less often', async (_, answer) => {
    const { logins, errors, warnings } = await asking(() => answer, 600);
    expect(errors).toHaveLength(600);
    expect(logins()).toBeGreaterThan(8);
    expect(logins()).toBeLessThan(30);
    expect(warnings).toEqual([]);
  });

  it('that can’t be renewed is told once, and the token serves on', async () => {
    let first = true;
    const { warnings, errors } = await asking(() => {
      const answer = first ? { status: 200, text: '{"accessToken":"T","tokenTtl":1000}' } : { status: 503, text: '' };
      first = false;
      return answer;
    }, 990);
    expect(errors).toEqual([]);
    expect(warnings).toHaveLength(1);
  });

  it('that failed is known as the reason of a request', async () => {
    const { errors } = await asking(() => ({ status: 503, text: '' }), 1);
    expect(isLoginFailure(errors[0])).toBe(true);
  });
});
