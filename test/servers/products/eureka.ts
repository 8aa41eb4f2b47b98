import { join } from 'node:path';
import { cached, lookUp } from '../cache.js';
import { freePorts } from '../free-port.js';
import type { NodeSpec } from '../managed-node.js';
import { whileShowing } from '../progress.js';
import { startServer, temporaryFolder } from '../running-server.js';
import { mavenIsMissing, mavenPackage, projectHash, provideJava, jvmFlags } from '../toolchains/java.js';
import type { RunningServer, Settings } from '../types.js';
import { versions } from '../versions.js';
import { httpGet } from '../wait.js';
import { type Attached, type Product, type StartOptions, availableFrom, unavailable } from './product.js';

const login = { username: 'eureka', password: 'eureka-password' };

interface Program {
  readonly jar: string;
  readonly source: string;
}

async function program(): Promise<Program> {
  const { springBoot, springCloud } = versions.eureka;
  const key = `eureka-${springCloud}-${await projectHash('eureka')}`;
  const missing = (await lookUp(key)) ? undefined : await mavenIsMissing();
  if (missing) throw new Error(missing);
  const values = { 'spring-boot': springBoot, 'spring-cloud': springCloud };
  const folder = await cached(key, (target) =>
    whileShowing(
      `building Eureka of Spring Cloud ${springCloud}`,
      mavenPackage('eureka', values, 'server.jar', target),
    ),
  );
  return { jar: join(folder, 'server.jar'), source: `Maven Central, Spring Cloud ${springCloud}` };
}

/** One server's place among its peers. Peers need different host names, else each takes the others for itself. */
interface Member {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly url: string;
}

function properties(member: Member, peers: readonly Member[], auth: boolean, settings: Settings): Settings {
  const others = peers.filter((peer) => peer !== member);
  return {
    'server.port': member.port,
    'server.address': '127.0.0.1',
    'spring.application.name': 'eureka',
    'spring.main.banner-mode': 'off',
    'eureka.instance.hostname': member.host,
    'eureka.client.register-with-eureka': false,
    'eureka.client.fetch-registry': others.length > 0,
    'eureka.client.service-url.defaultZone': (others.length > 0 ? others : [member])
      .map((peer) => `${peer.url}/`)
      .join(','),
    'eureka.server.my-url': `${member.url}/`,
    // Fast, where the defaults are made for production: minutes of waiting and caching.
    'eureka.server.wait-time-in-ms-when-sync-empty': 0,
    'eureka.server.enable-self-preservation': false,
    'eureka.server.eviction-interval-timer-in-ms': 1_000,
    'eureka.server.use-read-only-response-cache': false,
    'eureka.server.response-cache-update-interval-ms': 500,
    // A read that goes on while somebody registers may leave its old answer in the cache, by default for three minutes.
    'eureka.server.response-cache-auto-expiration-in-seconds': 1,
    'eureka.server.delta-retention-timer-interval-in-ms': 1_000,
    'eureka.server.peer-eureka-nodes-update-interval-ms': 60_000,
    'servers.basic-auth': auth,
    'spring.security.user.name': login.username,
    'spring.security.user.password': login.password,
    ...settings,
  };
}

async function start({ variant, settings = {}, guard }: StartOptions): Promise<RunningServer> {
  const provided = await provideJava();
  if ('reason' in provided) throw new Error(provided.reason);
  const { jar, source } = await program();
  const folder = await temporaryFolder(guard, `eureka-${variant}`);
  const auth = variant === 'auth';
  const members: Member[] = [];
  for (const host of variant === 'peers' ? ['localhost', '127.0.0.1'] : ['127.0.0.1']) {
    const { http } = await freePorts('http');
    const name = variant === 'peers' ? `eureka-${members.length + 1}` : 'eureka';
    members.push({ name, host, port: http, url: `http://${host}:${http}/eureka` });
  }
  const headers: Record<string, string> = auth
    ? { Authorization: `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}` }
    : {};
  const nodes = members.map((member): NodeSpec => {
    const values = Object.entries(properties(member, members, auth, settings));
    return {
      name: member.name,
      ports: { http: member.port },
      url: member.url,
      command: provided.java,
      args: [
        ...jvmFlags('256m', join(folder, member.name)),
        '-jar',
        jar,
        ...values.map(([key, value]) => `--${key}=${value}`),
      ],
      folder: join(folder, member.name),
      durable: false,
      timeoutMs: 120_000,
      ready: async () => (await httpGet(`http://127.0.0.1:${member.port}/eureka/apps`, { headers })).status === 200,
    };
  });
  return startServer(guard, folder, {
    facts: { product: 'eureka', variant, source, ...(auth ? login : {}) },
    // A Eureka server does not tell its version.
    version: () => Promise.resolve(`Spring Cloud ${versions.eureka.springCloud}`),
    nodes,
  });
}

async function attach(address: string): Promise<Attached> {
  const urls = address.split(',').map((url) => url.trim().replace(/\/+$/, ''));
  const { username, password } = new URL(urls[0] ?? '');
  const bare = urls.map((url) => url.replace(/\/\/[^/@]*@/, '//'));
  const headers: Record<string, string> = username
    ? {
        Authorization: `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`,
      }
    : {};
  const { status } = await httpGet(`${bare[0]}/apps`, { headers });
  if (status !== 200) throw new Error(`${bare[0]}/apps answered ${status}`);
  return { version: 'unknown', urls: bare, ...(username ? { username, password } : {}) };
}

/** Spring Cloud's Eureka server: alone, as a pair that replicates, or behind basic authentication. */
export const eureka: Product = {
  name: 'eureka',
  variable: 'EUREKA_URL',
  provision: async () => {
    const java = await provideJava();
    return 'reason' in java ? unavailable(java.reason) : availableFrom((await program()).source);
  },
  start,
  attach,
};
