import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cached, lookUp } from '../../servers/cache.js';
import { runGuarded } from '../../servers/exec.js';
import { freePorts } from '../../servers/free-port.js';
import { whileShowing } from '../../servers/progress.js';
import { mavenIsMissing, provideJava } from '../../servers/toolchains/java.js';
import { versions } from '../../servers/versions.js';
import { httpGet, waitFor } from '../../servers/wait.js';

const project = fileURLToPath(new URL('spring-peer/', import.meta.url));

/** A Spring Cloud application that runs. */
export interface SpringPeer {
  readonly port: number;
  close(): Promise<void>;
}

/** The runnable jar, built once; or why it can't be had. */
export async function provideSpringPeer(): Promise<{ java: string; jar: string } | { reason: string }> {
  const java = await provideJava();
  if ('reason' in java) return java;
  const { springBoot, springCloud } = versions.eureka;
  const key = `spring-peer-${springCloud}-${await fingerprint()}`;
  const missing = (await lookUp(key)) === undefined ? await mavenIsMissing() : undefined;
  if (missing !== undefined) return { reason: missing };
  try {
    const folder = await cached(key, (output) =>
      whileShowing('building the Spring peer', build(output, springBoot, springCloud)),
    );
    return { java: java.java, jar: join(folder, 'server.jar') };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Starts it under the name, at the Eureka server; `tls` makes it speak https only. */
export async function startSpringPeer(
  program: { readonly java: string; readonly jar: string },
  name: string,
  eurekaUrl: string,
  options: {
    readonly tls?: { readonly certFile: string; readonly keyFile: string };
    /** A key store with the authorities that it trusts, and its password. */
    readonly trust?: { readonly file: string; readonly password: string };
  } = {},
): Promise<SpringPeer> {
  const { http: port } = await freePorts('http');
  const { tls, trust } = options;
  const settings: Record<string, string> = {
    'server.port': String(port),
    'server.address': '127.0.0.1',
    'spring.application.name': name,
    'spring.main.banner-mode': 'off',
    'eureka.client.service-url.defaultZone': `${eurekaUrl}/`,
    'eureka.client.registry-fetch-interval-seconds': '1',
    'eureka.instance.hostname': '127.0.0.1',
    'eureka.instance.lease-renewal-interval-in-seconds': '1',
    'eureka.instance.lease-expiration-duration-in-seconds': '5',
    'spring.cloud.loadbalancer.cache.enabled': 'false',
    ...(tls === undefined
      ? {}
      : {
          'server.ssl.certificate': `file:${tls.certFile}`,
          'server.ssl.certificate-private-key': `file:${tls.keyFile}`,
          'eureka.instance.secure-port-enabled': 'true',
          'eureka.instance.secure-port': String(port),
          'eureka.instance.non-secure-port-enabled': 'false',
        }),
  };
  const jvm =
    trust === undefined
      ? []
      : [`-Djavax.net.ssl.trustStore=${trust.file}`, `-Djavax.net.ssl.trustStorePassword=${trust.password}`];
  const args = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...jvm, '-jar', program.jar];
  for (const [key, value] of Object.entries(settings)) args.push(`--${key}=${value}`);
  const child = spawn(program.java, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  }
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  // Dead with this process too.
  process.once('exit', () => child.kill('SIGKILL'));
  try {
    await waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(output);
        const apps = await httpGet(`${eurekaUrl}/apps/${name.toUpperCase()}`, {
          headers: { accept: 'application/json' },
        });
        return apps.status === 200 && apps.text.includes('"UP"');
      },
      { what: `${name} is registered`, timeoutMs: 60_000, intervalMs: 200 },
    );
  } catch (error) {
    await close();
    throw new Error(`the Spring peer did not come up:\n${output}`, { cause: error });
  }
  return { port, close };
}

async function build(output: string, springBoot: string, springCloud: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'nsd-spring-peer-'));
  try {
    await cp(project, scratch, { recursive: true });
    const pom = join(scratch, 'pom.xml');
    const text = await readFile(pom, 'utf8');
    await writeFile(pom, text.replaceAll('@spring-boot@', springBoot).replaceAll('@spring-cloud@', springCloud));
    await runGuarded('mvn', ['-B', '-ntp', '-q', 'package'], { cwd: scratch, attempts: 3 });
    await cp(join(scratch, 'target', 'server.jar'), join(output, 'server.jar'));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function fingerprint(): Promise<string> {
  const entries = await readdir(project, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hash = createHash('sha256');
  for (const file of files.toSorted()) hash.update(await readFile(file));
  return hash.digest('hex').slice(0, 8);
}
