import { silentLogger, type Clock, type Logger } from '../../../lib/backend/index.js';
import { NacosAuth } from '../../../lib/backends/nacos/client/auth.js';
import { HttpTransport } from '../../../lib/backends/nacos/client/http/transport.js';
import { resolveClientOptions } from '../../../lib/backends/nacos/client/options.js';

/** What logs in at a server that answers each login with `answer`. */
export function authOf(
  clock: Clock,
  answer: () => { readonly status: number; readonly text: string },
  logger: Logger = silentLogger,
): NacosAuth {
  const settings = resolveClientOptions('test', { serverAddresses: 'h:1', username: 'u', password: 'p' });
  const http = Object.assign(Object.create(HttpTransport.prototype) as HttpTransport, {
    request: () => Promise.resolve({ headers: {}, ...answer() }),
  });
  const env = { backend: 'nacos', clock, logger, random: () => 0.5, report: () => {} };
  return new NacosAuth(settings, env, http, { run: (operation) => operation('http://h:1') });
}
