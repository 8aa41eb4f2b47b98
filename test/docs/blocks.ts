import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pathToFileURL } from 'node:url';
import { loadAll } from 'js-yaml';
import ts from 'typescript';
import { emit, typeErrors, writeModules, type DocModule } from './compile.js';
import { root, type Block, type Page } from './pages.js';

const run = promisify(execFile);

/** Languages of blocks that nothing can be said about. */
const FREE = new Set(['text', 'dockerfile', 'diff', 'http', 'promql']);

/** Compiles and runs the pages' TypeScript, and checks what is written in other languages. */
export async function checkBlocks(pages: readonly Page[], as?: string): Promise<string[]> {
  const problems = pages.flatMap(({ blocks }) => blocks.flatMap((block) => checkOther(block)));
  const modules = writeModules(pages, as);
  const wrong = typeErrors(modules);
  problems.push(...wrong);
  // What doesn't compile would fail once more, with less to say.
  if (wrong.length > 0) return problems;
  for (const [page, files] of emit(modules)) {
    const promised = modules.filter((module) => module.page === page && module.runs).flatMap(outputOf);
    problems.push(...(await runAll(page, files, promised)));
  }
  return problems;
}

/** A value for each variable that the blocks read, as a reader would have them. */
function variablesOf(files: readonly string[]): Record<string, string> {
  const names = files.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/process\.env\.([A-Z_]+)/g)]);
  return Object.fromEntries(names.map(([, name = '']) => [name, 'example']));
}

/** What a module says that it writes: `console.log(left); // 3`. */
function outputOf({ text }: DocModule): string[] {
  return [...text.matchAll(/^ *console\.log\(.*\); \/\/ (.+)$/gm)].map(([, said = '']) => said);
}

/** One process for a page: it must load every block and then end by itself, for nothing may be left open. */
async function runAll(page: string, files: readonly string[], promised: readonly string[]): Promise<string[]> {
  const script = files.map((file) => `await import(${JSON.stringify(pathToFileURL(file).href)});`).join('\n');
  // A folder of its own, for what a block may write, and a state folder, for what the local backend keeps.
  const cwd = mkdtempSync(join(tmpdir(), 'nsd-docs-'));
  try {
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
      cwd,
      timeout: 100_000,
      env: { ...variablesOf(files), ...process.env, NODE_ENV: 'development', TMPDIR: cwd, XDG_STATE_HOME: cwd },
    });
    const written = stdout.split('\n');
    const missing = promised.filter((line) => {
      const at = written.indexOf(line);
      if (at >= 0) written.splice(0, at + 1);
      return at < 0;
    });
    return missing.map((line) => `${page}: its blocks don't write ${line}`);
  } catch (error) {
    const { stderr, killed } = error as { readonly stderr: string; readonly killed?: boolean };
    return [`${page}: ${killed === true ? 'its blocks were run and did not end' : `a block failed\n${stderr}`}`];
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

function checkOther(block: Block): string[] {
  const where = `${block.page}:${block.line}`;
  const told = (problem: string): string[] => [`${where}: ${problem}`];
  if (block.noCheck !== undefined || block.language === 'ts' || FREE.has(block.language)) return [];
  switch (block.language) {
    case 'json': {
      const { error } = ts.parseConfigFileTextToJson('block.json', block.text);
      return error === undefined ? [] : told(ts.flattenDiagnosticMessageText(error.messageText, ' '));
    }
    case 'yaml':
      try {
        loadAll(block.text);
        return [];
      } catch (error) {
        return told((error as Error).message);
      }
    case 'js': {
      const { diagnostics = [] } = ts.transpileModule(block.text, { reportDiagnostics: true, fileName: 'block.js' });
      return diagnostics.flatMap(({ messageText }) => told(ts.flattenDiagnosticMessageText(messageText, ' ')));
    }
    case 'sh':
      return checkShell(block).flatMap(told);
    default:
      return told(`its language is ${block.language || 'not said'}; text, if it has none`);
  }
}

/** Its grammar, and that each script of ours that it runs is one. */
function checkShell({ text }: Block): string[] {
  const { scripts, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly scripts: Record<string, string>;
    readonly bin: Record<string, string>;
  };
  const { status, stderr } = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' });
  const names = [...text.matchAll(/npm run (?:-\S+ )*([\w:-]+)/g)].map(([, name = '']) => name);
  // `npm run build` and `start:dev` are also an app's own, as `nest new` makes them.
  const unknown = names.filter((name) => scripts[name] === undefined && !/^(build|start(:dev)?|test)$/.test(name));
  const binaries = [...text.matchAll(/npx (nestjs-\S+)/g)].map(([, name = '']) => name);
  return [
    ...(status === 0 ? [] : [stderr.trim()]),
    ...unknown.map((name) => `package.json has no script ${name}`),
    ...binaries.filter((name) => bin[name] === undefined).map((name) => `package.json has no command ${name}`),
  ];
}
