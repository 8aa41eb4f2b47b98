import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

interface OxlintReport {
  readonly diagnostics: readonly { readonly code: string; readonly help?: string; readonly filename: string }[];
  readonly number_of_files: number;
}

/**
 * Lints files of these contents with the repository's own configuration, in a folder of their own.
 *
 * @returns for each path the rules that it broke, as `eslint(no-console)`
 */
export async function runOxlint(files: ReadonlyMap<string, string>): Promise<Map<string, string[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'oxlint-'));
  try {
    await copyFile(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
    for (const [path, content] of files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
    const report = await lint(folder);
    if (report.number_of_files !== files.size) {
      throw new Error(`oxlint looked at ${report.number_of_files} of ${files.size} files`);
    }
    const broken = new Map<string, string[]>([...files.keys()].map((path) => [path, []]));
    for (const { code, filename } of report.diagnostics) broken.get(filename)?.push(code);
    return broken;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function lint(folder: string): Promise<OxlintReport> {
  return new Promise((resolve, reject) => {
    const bin = join(root, 'node_modules', 'oxlint', 'bin', 'oxlint');
    const args = [bin, '--config', '.oxlintrc.json', '--format', 'json', '.'];
    const options = { cwd: folder, maxBuffer: 64 * 1024 * 1024 };
    // It ends with 1 when it found something; what it says then is the answer too.
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as OxlintReport);
      } catch {
        reject(new Error(`oxlint failed: ${stderr || stdout}`, { cause: error }));
      }
    });
  });
}
