import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, lookUp } from '../cache.js';
import { freePortWith } from '../free-port.js';
import { whileShowing } from '../progress.js';
import { startServer, temporaryFolder } from '../running-server.js';
import { mavenIsMissing, mavenPackage, projectHash, provideJava, jvmFlags } from '../toolchains/java.js';
import type { RunningServer, Settings } from '../types.js';
import { versions } from '../versions.js';
import { httpGet, waitFor } from '../wait.js';
import { type Attached, type Product, type StartOptions, availableFrom, unavailable } from './product.js';

const login = { username: 'nacos', password: 'nacos-password' };
// Nacos computes these from the HTTP port; clients compute the first one too.
const offsets = { grpc: 1_000, clusterGrpc: 1_001, raft: -1_000 };

interface Program {
  readonly jar: string;
  readonly source: string;
}

async function program(variant: string): Promise<Program> {
  const project = variant === '3' ? 'nacos3' : 'nacos2';
  const { group, version, springBoot } = versions[project];
  const key = `nacos-${version}-${await projectHash(project)}`;
  const missing = (await lookUp(key)) ? undefined : await mavenIsMissing();
  if (missing) throw new Error(missing);
  const values = { group, nacos: version, 'spring-boot': springBoot };
  const folder = await cached(key, (target) =>
    whileShowing(`building Nacos ${version}`, mavenPackage(project, values, 'server.jar', target)),
  );
  return { jar: join(folder, 'server.jar'), source: `Maven Central, ${group} ${version}` };
}

/** Given as system properties: Nacos reads some keys before Spring has read anything. */
function systemProperties(variant: string, port: number, home: string, settings: Settings): Settings {
  const auth = variant !== 'open';
  return {
    'nacos.standalone': true,
    'nacos.home': home,
    'nacos.server.ip': '127.0.0.1',
    'nacos.inetutils.ip-address': '127.0.0.1',
    'server.address': '127.0.0.1',
    // 3.x runs two web contexts in one process and has keys of its own for the one that clients talk to.
    ...(variant === '3'
      ? { 'nacos.server.main.port': port, 'nacos.server.contextPath': '/nacos' }
      : { 'server.port': port, 'server.servlet.contextPath': '/nacos' }),
    'server.tomcat.accesslog.enabled': false,
    'server.tomcat.basedir': home,
    'derby.stream.error.file': join(home, 'derby.log'),
    'spring.sql.init.platform': 'derby',
    'nacos.core.auth.system.type': 'nacos',
    'nacos.core.auth.enabled': auth,
    'nacos.core.auth.caching.enabled': false,
    'nacos.core.auth.server.identity.key': 'test-identity',
    'nacos.core.auth.server.identity.value': 'test-identity',
    'nacos.core.auth.plugin.nacos.token.secret.key': Buffer.from('a secret for tests, and tests only').toString(
      'base64',
    ),
    'nacos.core.auth.plugin.nacos.token.expire.seconds': 18_000,
    // Its own database's login may take longer than 3 s on a busy machine.
    'db.pool.config.connectionTimeout': 60_000,
    'nacos.istio.mcp.server.enabled': false,
    'nacos.k8s.sync.enabled': false,
    'nacos.extension.ai.enabled': false,
    ...settings,
  };
}

const opened = ['java.lang', 'java.lang.reflect', 'java.util'].flatMap((name) => [
  '--add-opens',
  `java.base/${name}=ALL-UNNAMED`,
]);

async function startOnce({ variant, settings = {}, guard }: StartOptions): Promise<RunningServer> {
  const provided = await provideJava();
  if ('reason' in provided) throw new Error(provided.reason);
  const { jar, source } = await program(variant);
  const folder = await temporaryFolder(guard, `nacos-${variant}`);
  const port = await freePortWith(Object.values(offsets));
  const url = `http://127.0.0.1:${port}/nacos`;
  const home = join(folder, 'data');
  const values = Object.entries(systemProperties(variant, port, home, settings));
  const auth = variant !== 'open';
  return startServer(guard, folder, {
    facts: { product: 'nacos', variant, source, ...(auth ? login : {}) },
    version: () => versionOf(url, auth ? login : undefined),
    nodes: [
      {
        name: 'nacos',
        ports: {
          ...{ http: port, grpc: port + offsets.grpc },
          ...{ clusterGrpc: port + offsets.clusterGrpc, raft: port + offsets.raft },
        },
        proxied: { http: 0, grpc: offsets.grpc },
        url,
        command: provided.java,
        args: [
          ...jvmFlags('512m', folder),
          ...opened,
          ...values.map(([key, value]) => `-D${key}=${value}`),
          '-jar',
          jar,
        ],
        folder,
        durable: true,
        timeoutMs: 180_000,
        prepare: async (data) => void (await mkdir(join(data, 'conf'), { recursive: true })),
        ready: () => isReady(url),
        ...(auth ? { afterReady: (fresh) => prepareLogin(url, variant, fresh) } : {}),
      },
    ],
  });
}

/**
 * Starts it, once more if need be: a server with a new database gives Derby ten seconds to create it, and gives itself up
 * when a busy machine needs longer.
 */
async function start(options: StartOptions): Promise<RunningServer> {
  try {
    return await startOnce(options);
  } catch (error) {
    if (!String(error).includes('Login timeout exceeded')) throw error;
    return startOnce(options);
  }
}

async function isReady(url: string): Promise<boolean> {
  const metrics = await httpGet(`${url}/v1/ns/operator/metrics`);
  return metrics.status === 200 && metrics.text.includes('"UP"');
}

/** Neither 2.x (of this release) nor 3.x has a default password: the first call of this kind sets it. */
async function prepareLogin(url: string, variant: string, fresh: boolean): Promise<void> {
  if (fresh) {
    const body = new URLSearchParams({ password: login.password });
    const path = variant === '3' ? 'v3/auth/user/admin' : 'v1/auth/users/admin';
    const { status, text } = await httpGet(`${url}/${path}`, { method: 'POST', body });
    if (status !== 200) throw new Error(`creating the admin user: ${status} ${text}`);
  }
  // 3.x takes up new users with its next periodic load.
  await waitFor(() => nacosLogin(url, login), { what: 'Nacos accepts the login', timeoutMs: 60_000, intervalMs: 250 });
}

/** Logs in and gives the access token. */
export async function nacosLogin(url: string, user: { username: string; password: string }): Promise<string> {
  const body = new URLSearchParams(user);
  const { status, text } = await httpGet(`${url}/v1/auth/users/login`, { method: 'POST', body });
  if (status !== 200) throw new Error(`${url} refuses the login: ${status} ${text}`);
  return (JSON.parse(text) as { accessToken: string }).accessToken;
}

async function versionOf(url: string, user: { username: string; password: string } | undefined): Promise<string> {
  const query = user ? `?accessToken=${await nacosLogin(url, user)}` : '';
  let answer = await httpGet(`${url}/v2/core/cluster/node/self${query}`);
  if (answer.status !== 200) answer = await httpGet(`${url}/v3/admin/core/cluster/node/self${query}`);
  const { status, text } = answer;
  if (status !== 200) throw new Error(`${url} does not tell its version: ${status} ${text}`);
  return (JSON.parse(text) as { data: { extendInfo: { version: string } } }).data.extendInfo.version;
}

async function attach(address: string): Promise<Attached> {
  const given = new URL(address);
  const user = given.username
    ? { username: decodeURIComponent(given.username), password: decodeURIComponent(given.password) }
    : undefined;
  const url = `${given.protocol}//${given.host}${given.pathname.replace(/\/+$/, '')}`;
  const port = Number(given.port || 80);
  return {
    version: await versionOf(url, user),
    urls: [url],
    ports: { http: port, grpc: port + offsets.grpc },
    proxied: { http: 0, grpc: offsets.grpc },
    ...user,
  };
}

/** Nacos 2.x with or without authentication, and a 3.x. */
export const nacos: Product = {
  name: 'nacos',
  variable: 'NACOS_URL',
  provision: async (variant) => {
    const java = await provideJava();
    return 'reason' in java ? unavailable(java.reason) : availableFrom((await program(variant)).source);
  },
  start,
  attach,
};
