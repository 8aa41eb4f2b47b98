import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { DiscoveryError, nameProblem, serviceNameProblem } from '../model/index.js';

/** `SERVICE_NAME`, else the name in the nearest package.json without its scope. */
export function defaultServiceName(env: NodeJS.ProcessEnv, needed: boolean): string {
  const name = env['SERVICE_NAME'] ?? nearestPackageName() ?? (needed ? undefined : 'application');
  if (name === undefined || serviceNameProblem(name) !== undefined) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      'service.name is missing: give it to forRoot({ service: { name } }), in SERVICE_NAME or in package.json',
      { field: 'service.name' },
    );
  }
  return name;
}

function nearestPackageName(): string | undefined {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    try {
      const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly name?: unknown };
      return typeof name === 'string' && name !== '' ? name.replace(/^@[^/]*\//, '') : undefined;
    } catch {
      // None here, or none that can be read: the folder above may have one.
    }
    if (folder === dirname(folder)) return undefined;
  }
}

/** `SERVICE_PROFILES` or `SPRING_PROFILES_ACTIVE`, separated by commas, else `NODE_ENV`; what can't be a name is left out. */
export function defaultProfiles(env: NodeJS.ProcessEnv): readonly string[] {
  const list = env['SERVICE_PROFILES'] ?? env['SPRING_PROFILES_ACTIVE'] ?? env['NODE_ENV'] ?? '';
  return list
    .split(',')
    .map((profile) => profile.trim())
    .filter((profile) => nameProblem(profile) === undefined);
}

/** The user's own folder for what is kept between runs. The temporary folder is everybody's: others could prepare it. */
export function stateFolder(env: NodeJS.ProcessEnv): string {
  const given = env['XDG_STATE_HOME'];
  return given === undefined || given === '' ? join(homedir(), '.local', 'state') : given;
}
