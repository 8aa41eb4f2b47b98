import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cached, lookUp } from '../cache.js';
import { makeCertificates } from '../certificates.js';
import { freePorts } from '../free-port.js';
import type { NodeSpec } from '../managed-node.js';
import { whileShowing } from '../progress.js';
import { startServer, temporaryFolder } from '../running-server.js';
import { hasApt, unpackDebianPackages } from '../toolchains/apt.js';
import { mavenIsMissing, mavenPackage, projectHash, provideJava, jvmFlags } from '../toolchains/java.js';
import type { RunningServer, Settings, TlsFiles } from '../types.js';
import { versions } from '../versions.js';
import { askZooKeeper } from '../wire.js';
import { type Attached, type Product, type StartOptions, availableFrom, unavailable } from './product.js';

interface Program {
  readonly classPath: string;
  readonly source: string;
}

// The server's own jar and those that its manifest names, which Debian spreads over these packages. They are taken one
// by one, not resolved: apt would leave out what this machine happens to have.
const debianPackages = [
  'libzookeeper-java',
  'libcommons-cli-java',
  'libcommons-io-java',
  'libdropwizard-metrics-java',
  'libfindbugs-annotations-java',
  'libjackson2-annotations-java',
  'libjackson2-core-java',
  'libjackson2-databind-java',
  'libjetty9-java',
  'libjline2-java',
  'libnetty-java',
  'libservlet-api-java',
  'libslf4j-java',
  'libsnappy-java',
  'libsnappy-jni',
];

async function onThisMachine(): Promise<Program | undefined> {
  if (versions.zookeeper.debian === undefined) return undefined;
  const folder = '/usr/share/java';
  const names = await readdir(folder).catch((): string[] => []);
  if (!names.includes(`zookeeper-${versions.zookeeper.debian}.jar`)) return undefined;
  // Its manifest names the other jars.
  return { classPath: join(folder, 'zookeeper.jar'), source: `this machine (${folder})` };
}

async function fromDebian(version: string): Promise<Program> {
  const folder = await cached(`zookeeper-debian-${version}`, (target) =>
    whileShowing("unpacking Debian's ZooKeeper", unpackDebianPackages(debianPackages, target)),
  );
  return { classPath: join(folder, 'usr', 'share', 'java', '*'), source: `Debian package ${version}` };
}

async function fromMaven(): Promise<Program> {
  const version = versions.zookeeper.maven;
  const key = `zookeeper-maven-${version}-${await projectHash('zookeeper')}`;
  const missing = (await lookUp(key)) ? undefined : await mavenIsMissing();
  if (missing) throw new Error(missing);
  const folder = await cached(key, (target) =>
    whileShowing(`fetching ZooKeeper ${version}`, mavenPackage('zookeeper', { zookeeper: version }, 'lib', target)),
  );
  return { classPath: join(folder, 'lib', '*'), source: `Maven Central ${version}` };
}

async function program(): Promise<Program> {
  const here = await onThisMachine();
  if (here) return here;
  const { debian } = versions.zookeeper;
  if (debian === undefined) return fromMaven();
  const inCache = await lookUp(`zookeeper-debian-${debian}`);
  return inCache || (await hasApt()) ? fromDebian(debian) : fromMaven();
}

interface MemberPorts extends Record<string, number> {
  client: number;
  /** Without TLS, beside `client`, where that has it. */
  plain: number;
  quorum: number;
  election: number;
}

/** TLS is Netty's to speak; four-letter commands go to the plain port beside it. */
function secure(ports: MemberPorts, tls: TlsFiles): Settings {
  return {
    serverCnxnFactory: 'org.apache.zookeeper.server.NettyServerCnxnFactory',
    secureClientPort: ports.client,
    secureClientPortAddress: '127.0.0.1',
    clientPort: ports.plain,
    'ssl.keyStore.location': join(dirname(tls.certFile), 'both.pem'),
    'ssl.keyStore.type': 'PEM',
    'ssl.trustStore.location': tls.caFile,
    'ssl.trustStore.type': 'PEM',
    'ssl.clientAuth': 'want',
  };
}

/** The files, and `both.pem`: the key and its certificate in one, as ZooKeeper wants them. */
async function certificates(folder: string): Promise<TlsFiles> {
  await mkdir(folder);
  const files = await makeCertificates(folder);
  await writeFile(join(folder, 'both.pem'), `${files.key}\n${files.cert}`);
  return files;
}

function zooCfg(ports: MemberPorts, data: string, ensemble: readonly MemberPorts[], settings: Settings): string {
  const values: Record<string, string | number | boolean> = {
    dataDir: data,
    clientPort: ports.client,
    clientPortAddress: '127.0.0.1',
    tickTime: 200, // sessions may then be as short as 400 ms
    initLimit: 50,
    syncLimit: 25,
    maxSessionTimeout: 60_000,
    maxClientCnxns: 0,
    'admin.enableServer': false,
    '4lw.commands.whitelist': '*',
    ...settings,
  };
  const members = ensemble.map((member, i) => [`server.${i + 1}`, `127.0.0.1:${member.quorum}:${member.election}`]);
  const lines = [...Object.entries(values), ...members].map(([key, value]) => `${key}=${value}`);
  return `${lines.join('\n')}\n`;
}

function memberSpec(input: {
  readonly java: string;
  readonly classPath: string;
  readonly folder: string;
  readonly ports: MemberPorts;
  readonly ensemble: readonly MemberPorts[];
  readonly settings: Settings;
  readonly tls: TlsFiles | undefined;
}): NodeSpec {
  const { java, classPath, folder, ports, ensemble, tls } = input;
  const settings = tls === undefined ? input.settings : { ...secure(ports, tls), ...input.settings };
  const config = join(folder, 'zoo.cfg');
  const id = ensemble.indexOf(ports) + 1;
  const main = id > 0 ? 'quorum.QuorumPeerMain' : 'ZooKeeperServerMain';
  return {
    name: id > 0 ? `zookeeper-${id}` : 'zookeeper',
    ports,
    url: `127.0.0.1:${ports.client}`,
    command: java,
    args: [...jvmFlags('128m', folder), '-cp', classPath, `org.apache.zookeeper.server.${main}`, config],
    folder,
    durable: true,
    timeoutMs: 60_000,
    prepare: async (data) => {
      await writeFile(config, zooCfg(ports, data, ensemble, settings));
      if (id > 0) await writeFile(join(data, 'myid'), String(id));
    },
    ready: async () =>
      /^Mode: /m.test(await askZooKeeper('127.0.0.1', tls === undefined ? ports.client : ports.plain, 'srvr')),
  };
}

async function start({ variant, settings = {}, guard }: StartOptions): Promise<RunningServer> {
  const provided = await provideJava();
  if ('reason' in provided) throw new Error(provided.reason);
  const { classPath, source } = await program();
  const folder = await temporaryFolder(guard, 'zookeeper');
  const ports: MemberPorts[] = [];
  const tls = variant === 'tls' ? await certificates(join(folder, 'tls')) : undefined;
  for (let i = 0; i < (variant === 'ensemble' ? 3 : 1); i++) {
    ports.push(await freePorts('client', 'plain', 'quorum', 'election'));
  }
  const nodes = ports.map((member, i) =>
    memberSpec({
      ...{ java: provided.java, classPath, settings, tls },
      folder: variant === 'ensemble' ? join(folder, String(i + 1)) : folder,
      ports: member,
      ensemble: variant === 'ensemble' ? ports : [],
    }),
  );
  return startServer(guard, folder, {
    facts: { product: 'zookeeper', variant, source, ...(tls === undefined ? {} : { tls }) },
    version: () => versionOf('127.0.0.1', (tls === undefined ? ports[0]?.client : ports[0]?.plain) ?? 0),
    nodes,
  });
}

async function versionOf(host: string, port: number): Promise<string> {
  const answer = await askZooKeeper(host, port, 'srvr');
  const version = /Zookeeper version: ([\w.]+)/.exec(answer)?.[1];
  if (!version) throw new Error(`${host}:${port} does not answer as ZooKeeper: ${answer.slice(0, 200)}`);
  return version;
}

async function attach(address: string): Promise<Attached> {
  const urls = address.replace(/^zookeeper:\/\//, '').split(',');
  const { hostname, port } = new URL(`tcp://${urls[0]}`);
  return { version: await versionOf(hostname, Number(port || 2181)), urls };
}

/** ZooKeeper alone, or an ensemble of three; ticks of 200 ms make sessions expire fast. */
export const zookeeper: Product = {
  name: 'zookeeper',
  variable: 'ZOOKEEPER_URL',
  provision: async () => {
    const java = await provideJava();
    return 'reason' in java ? unavailable(java.reason) : availableFrom((await program()).source);
  },
  start,
  attach,
};
