import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run, runGuarded } from '../exec.js';

/** What every build wants: no stamp of our own repository, no setting of the user's that changes the outcome. */
const environment = { GOFLAGS: '-mod=mod -buildvcs=false', GOWORK: 'off', GO111MODULE: 'on', CGO_ENABLED: '0' };

const buildFlags = ['-p', '2', '-trimpath', '-ldflags', '-s -w'];

/** Builds the program at a module's root. */
export async function goInstall(go: string, module: string, version: string, folder: string): Promise<void> {
  await runGuarded(go, ['install', ...buildFlags, `${module}@${version}`], {
    cwd: folder,
    env: { ...environment, GOFLAGS: '-buildvcs=false', GOBIN: folder },
    attempts: 3,
  });
}

/**
 * Builds a program from the sources of its published module, as its main module. That is for modules which `go install`
 * refuses because of `replace` lines; those are dropped, and the published versions of the submodules that the same
 * go.mod requires are used.
 */
export async function goBuildFromSources(
  go: string,
  module: string,
  version: string,
  submodules: readonly string[],
  program: string,
  folder: string,
): Promise<void> {
  const scratch = join(folder, '.scratch');
  const sources = join(scratch, 'src');
  await mkdir(scratch);
  try {
    const answer = await run(go, ['mod', 'download', '-json', `${module}@${version}`], {
      cwd: scratch,
      env: environment,
      attempts: 3,
    });
    const { Dir: original } = JSON.parse(answer) as { Dir: string };
    await run('cp', ['-r', original, sources]);
    await run('chmod', ['-R', 'u+w', sources]); // the module cache is read-only
    for (const submodule of submodules) {
      await run(go, ['mod', 'edit', `-dropreplace=${module}/${submodule}`], { cwd: sources, env: environment });
    }
    await runGuarded(go, ['build', ...buildFlags, '-o', join(folder, program), '.'], {
      cwd: sources,
      env: environment,
      attempts: 3,
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
