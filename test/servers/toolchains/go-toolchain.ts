import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cached, lookUp } from '../cache.js';
import { run, which } from '../exec.js';
import { whileShowing } from '../progress.js';
import { versions } from '../versions.js';
import { hasApt, unpackDebianPackages } from './apt.js';

const { toolchain, oldest, debianPackage, debianFolder } = versions.go;

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * The `go` to build with: the machine's own if it is new enough, else the pinned toolchain, which the module proxy serves
 * like any module. Fetching it takes a `go` of any age; where there is none, Debian's is unpacked for that purpose.
 */
export async function provideGo(): Promise<{ go: string } | { reason: string }> {
  const own = await which('go');
  if (own && (await isNewEnough(own))) return { go: own };
  const key = `go-${toolchain}-${process.platform}-${process.arch}`;
  if (!(await lookUp(key)) && !own && !(await hasApt())) {
    return {
      reason: `it is built with Go ${oldest.join('.')} or newer: no \`go\` on the PATH, and no apt-get to fetch one`,
    };
  }
  const folder = await cached(key, (target) => whileShowing(`fetching Go ${toolchain}`, fetchToolchain(own, target)));
  return { go: join(folder, 'go', 'bin', 'go') };
}

async function isNewEnough(go: string): Promise<boolean> {
  const version = (await run(go, ['env', 'GOVERSION']).catch(() => '')).trim().replace('go', '');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
}

async function fetchToolchain(own: string | undefined, target: string): Promise<void> {
  const scratch = join(target, '.scratch');
  await mkdir(scratch);
  if (!own) await unpackDebianPackages([debianPackage], scratch);
  const root = join(scratch, debianFolder);
  const system = `${process.platform}-${architectures[process.arch] ?? process.arch}`;
  const module = `golang.org/toolchain@v0.0.1-go${toolchain}.${system}`;
  const answer = await run(own ?? join(root, 'bin', 'go'), ['mod', 'download', '-json', module], {
    cwd: scratch,
    env: {
      ...(own ? {} : { GOROOT: root }),
      GOMODCACHE: join(scratch, 'modules'),
      GOFLAGS: '-modcacherw',
      GOTOOLCHAIN: 'local',
      GO111MODULE: 'on',
    },
    attempts: 3,
  });
  const { Dir: downloaded } = JSON.parse(answer) as { Dir: string };
  await makeUsable(downloaded);
  await rename(downloaded, join(target, 'go'));
  await rm(scratch, { recursive: true });
}

/** A module can hold neither executable files nor a second go.mod; the toolchain's were disguised for the journey. */
async function makeUsable(folder: string): Promise<void> {
  await run('chmod', ['-R', 'u+w', folder]);
  await run('chmod', ['-R', 'a+x', join(folder, 'bin'), join(folder, 'pkg', 'tool')]);
  const names = await readdir(folder, { recursive: true });
  const disguised = names.filter((name) => name.endsWith('/_go.mod')).map((name) => join(folder, name));
  await Promise.all(disguised.map((file) => rename(file, join(dirname(file), 'go.mod'))));
}
