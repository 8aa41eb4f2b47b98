import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../lib/backend/index.js';
import { isLoginFailure, NacosAuth } from '../../../lib/backends/nacos/client/auth.js';
import { HttpTransport } from '../../../lib/backends/nacos/client/http/transport.js';
import { resolveClientOptions } from '../../../lib/backends/nacos/client/options.js';
import { ManualClock } from '../../../lib/testing/index.js';

/** A login that is answered by `answer`, asked for every second. */
async function asking(answer: () => { status: number; text: string }, seconds: number) {
  const clock = new ManualClock();
  const warnings: string[] = [];
  const env = {
    backend: 'nacos',
    clock,
    logger: { ...silentLogger, warn: (line: string) => void warnings.push(line) },
    random: () => 0.5,
    report: () => {},
  };
  const settings = resolveClientOptions('test', { serverAddresses: 'h:1', username: 'u', password: 'p' });
  let logins = 0;
  const http = Object.assign(Object.create(HttpTransport.prototype) as HttpTransport, {
    request: () => {
      logins += 1;
      return Promise.resolve({ headers: {}, ...answer() });
    },
  });
  const auth = new NacosAuth(settings, env, http, { run: (operation) => operation('http://h:1') });
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
