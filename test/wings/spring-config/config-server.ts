import { fileURLToPath } from 'node:url';
import { httpGet } from '../../servers/wait.js';
import { provideSpringProgram, startSpringProgram, type SpringPeer, type SpringProgram } from '../spring-peer.js';

const project = fileURLToPath(new URL('server/', import.meta.url));

/** The server's one user. */
export const LOGIN = { username: 'config', password: 'letmein' };

const authorization = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`;

/** The stock Spring Cloud Config server, behind a password; or why it can't be had. */
export function provideConfigServer(): Promise<SpringProgram | { reason: string }> {
  return provideSpringProgram('spring-config-server', project);
}

/** Starts it on the files of a folder. @param port @default one that is free */
export async function startConfigServer(
  program: SpringProgram,
  folder: string,
  { port, ...settings }: Readonly<Record<string, string>> & { readonly port?: string } = {},
): Promise<SpringPeer> {
  const { close, port: free } = await startSpringProgram(program, {
    settings: (own) => ({
      'server.port': port ?? String(own),
      'spring.profiles.active': 'native',
      'spring.cloud.config.server.native.search-locations': `file:${folder}`,
      'spring.security.user.name': LOGIN.username,
      'spring.security.user.password': LOGIN.password,
      ...settings,
    }),
    what: 'the config server answers',
    ready: async (own) => {
      const { status } = await httpGet(`http://127.0.0.1:${port ?? own}/any/default`, { headers: { authorization } });
      return status === 200;
    },
  });
  return { close, port: port === undefined ? free : Number(port) };
}

/** What the server makes of a text. */
export async function encrypt({ port }: SpringPeer, plain: string): Promise<string> {
  const headers = { authorization, 'content-type': 'text/plain' };
  const { status, text } = await httpGet(`http://127.0.0.1:${port}/encrypt`, { method: 'POST', headers, body: plain });
  if (status !== 200) throw new Error(`/encrypt was answered with ${status}: ${text}`);
  return text;
}
