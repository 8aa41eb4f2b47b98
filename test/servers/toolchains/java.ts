import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, runGuarded, which } from '../exec.js';
import { installDebianPackages } from './apt.js';

const oldestJava = 17;

/**
 * The flags that make a small server start fast, and that keep it from leaving anything behind when it is killed: no file
 * of performance data, and its temporary files and what it takes for the user's home lie in its own folder.
 */
export function jvmFlags(heap: string, folder: string): string[] {
  return [
    `-Xmx${heap}`,
    ...['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData', '-Xshare:auto'],
    '-Djava.awt.headless=true',
    `-Djava.io.tmpdir=${join(folder, 'tmp')}`,
    `-Duser.home=${folder}`,
  ];
}

async function javaVersion(java: string): Promise<number> {
  // `-version` prints to stderr, `--version` to stdout; Java 8 knows only the former and so counts as too old.
  const text = await run(java, ['-XX:-UsePerfData', '--version']).catch(() => '');
  return Number(/(\d+)/.exec(text)?.[1] ?? 0);
}

async function findJava(): Promise<string | undefined> {
  const home = process.env['JAVA_HOME'];
  for (const candidate of [home && join(home, 'bin', 'java'), await which('java')]) {
    if (candidate && (await javaVersion(candidate)) >= oldestJava) return candidate;
  }
  return undefined;
}

/** The `java` to run servers with, installed from Debian if need be; or the reason why there is none. */
export async function provideJava(): Promise<{ java: string } | { reason: string }> {
  let java = await findJava();
  if (java) return { java };
  const problem = await installDebianPackages(['openjdk-17-jdk-headless']);
  java = await findJava();
  return java
    ? { java }
    : { reason: `it needs Java ${oldestJava} or newer: ${problem ?? 'still not found after installing'}` };
}

/** Makes sure that there is Maven, installed from Debian if need be; gives the reason when there is none. */
export async function mavenIsMissing(): Promise<string | undefined> {
  const compiler = process.env['JAVA_HOME'] ?? (await which('javac'));
  if (compiler && (await which('mvn'))) return undefined;
  const problem = await installDebianPackages(['maven', 'openjdk-17-jdk-headless']);
  return (await which('mvn')) ? undefined : `it is built with Maven: ${problem ?? 'still not found after installing'}`;
}

const javaFolder = fileURLToPath(new URL('../java/', import.meta.url));

/** A short fingerprint of a project's files, so that the cache notices a change of them. */
export async function projectHash(project: string): Promise<string> {
  const folder = join(javaFolder, project);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hash = createHash('sha256');
  for (const file of files.toSorted()) hash.update(file.slice(folder.length)).update(await readFile(file));
  return hash.digest('hex').slice(0, 8);
}

/**
 * Packages one of the projects under `java/` and moves its `server.jar`, or its folder of libraries, to the output
 * folder. `@name@` in the pom is replaced by the value of that name.
 */
export async function mavenPackage(
  project: string,
  values: Readonly<Record<string, string>>,
  result: string,
  output: string,
): Promise<void> {
  const build = join(output, '.scratch');
  try {
    await cp(join(javaFolder, project), build, { recursive: true });
    const pom = join(build, 'pom.xml');
    const text = await readFile(pom, 'utf8');
    await writeFile(
      pom,
      text.replaceAll(/@([\w-]+)@/g, (whole, name: string) => values[name] ?? whole),
    );
    await runGuarded('mvn', ['-B', '-ntp', '-q', 'package'], { cwd: build, attempts: 3 });
    await cp(join(build, 'target', result), join(output, result), { recursive: true });
  } finally {
    await rm(build, { recursive: true, force: true });
  }
}
