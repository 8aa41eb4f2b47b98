import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, lookUp } from '../servers/cache.js';
import { runGuarded } from '../servers/exec.js';
import { freePorts } from '../servers/free-port.js';
import { whileShowing } from '../servers/progress.js';
import { mavenIsMissing, provideJava } from '../servers/toolchains/java.js';
import { versions } from '../servers/versions.js';
import { waitFor } from '../servers/wait.js';

/** A Spring Cloud application that can be run. */
export interface SpringProgram {
  readonly java: string;
  readonly jar: string;
}

/** A Spring Cloud application that runs. */
export interface SpringPeer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * The runnable jar of a Maven project, built once; or why it can't be had.
 *
 * @param name tells it from the others in the cache
 */
export async function provideSpringProgram(name: string, project: string): Promise<SpringProgram | { reason: string }> {
  const java = await provideJava();
  if ('reason' in java) return java;
  const { springBoot, springCloud } = versions.springPeers;
  const key = `${name}-${springCloud}-${await fingerprint(project)}`;
  const missing = (await lookUp(key)) === undefined ? await mavenIsMissing() : undefined;
  if (missing !== undefined) return { reason: missing };
  try {
    const folder = await cached(key, (output) =>
      whileShowing(`building the Spring application ${name}`, build(project, output, springBoot, springCloud)),
    );
    return { java: java.java, jar: join(folder, 'server.jar') };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Starts it on a free port of the loopback, with Spring properties, and waits until it is `ready`. */
export async function startSpringProgram(
  program: SpringProgram,
  options: {
    readonly settings: (port: number) => Readonly<Record<string, string>>;
    readonly jvm?: readonly string[];
    readonly what: string;
    readonly ready: (port: number) => Promise<boolean>;
  },
): Promise<SpringPeer> {
  const { http: port } = await freePorts('http');
  const settings = {
    'server.port': String(port),
    'server.address': '127.0.0.1',
    'spring.main.banner-mode': 'off',
    ...options.settings(port),
  };
  const flags = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...(options.jvm ?? [])];
  const args = [...flags, '-jar', program.jar];
  for (const [key, value] of Object.entries(settings)) args.push(`--${key}=${value}`);
  const child = spawn(program.java, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  }
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = (): void => void child.kill('SIGKILL');
  const close = async (): Promise<void> => {
    kill();
    await exited;
    process.removeListener('exit', kill);
  };
  // Dead with this process too.
  process.once('exit', kill);
  try {
    await waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(output);
        return options.ready(port);
      },
      { what: options.what, timeoutMs: 180_000, intervalMs: 200 },
    );
  } catch (error) {
    await close();
    throw new Error(`the Spring application did not come up:\n${output}`, { cause: error });
  }
  return { port, close };
}

async function build(project: string, output: string, springBoot: string, springCloud: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'nsd-spring-'));
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

async function fingerprint(project: string): Promise<string> {
  const entries = await readdir(project, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hash = createHash('sha256');
  for (const file of files.toSorted()) hash.update(await readFile(file));
  return hash.digest('hex').slice(0, 8);
}
