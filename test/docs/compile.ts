import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { root, type Block, type Page } from './pages.js';

/** Below the package's own package.json, so that its name means its built entries, as in an app that has installed it. */
const cache = join(root, 'test/docs/.cache');

/** What `nest new` gives an app, and a little stricter. */
const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  isolatedModules: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  esModuleInterop: true,
  skipLibCheck: true,
  noEmit: true,
  types: ['node'],
  typeRoots: [join(root, 'node_modules/@types')],
};

/** One or several blocks of a page that are one module. */
export interface DocModule {
  readonly page: string;
  /** Where it was written, with its ending of TypeScript. */
  readonly file: string;
  readonly text: string;
  /** Of each line of it, the line of the page. */
  readonly lines: readonly number[];
  readonly runs: boolean;
}

/**
 * The modules that the pages' TypeScript blocks make, written to disk.
 * @param as whose they are: two that write at a time have folders of their own
 */
export function writeModules(pages: readonly Page[], as = 'pages'): DocModule[] {
  const folder = join(cache, as);
  rmSync(folder, { recursive: true, force: true });
  const modules = pages.flatMap((page) => modulesOf(page, folder));
  for (const { file, text } of modules) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return modules;
}

function modulesOf({ path, blocks }: Page, folder: string): DocModule[] {
  const groups: Block[][] = [];
  for (const block of blocks) {
    if (block.language !== 'ts' || block.noCheck !== undefined) continue;
    const last = groups.at(-1);
    if (block.continues && last !== undefined) last.push(block);
    else groups.push([block]);
  }
  const below = join(folder, path.replaceAll('/', '_').replace(/\.md$/, ''));
  return groups.map((group) => {
    const first = group[0] as Block;
    const text: string[] = [];
    const lines: number[] = [];
    const add = (part: string, line: number, step: number): void => {
      for (const [index, one] of part.split('\n').entries()) {
        text.push(one);
        lines.push(line + index * step);
      }
    };
    // All that is unseen comes first, as imports do.
    for (const { hidden, line } of group) if (hidden !== '') add(hidden, line, 0);
    for (const block of group) add(block.text, block.line + 1, 1);
    text.push('export {};');
    return {
      page: path,
      file: join(below, first.file ?? `line-${first.line}.ts`),
      text: text.join('\n'),
      lines,
      runs: group.every(({ noRun }) => noRun === undefined),
    };
  });
}

/** What the compiler has against the modules, by page and line. */
export function typeErrors(modules: readonly DocModule[]): string[] {
  const program = ts.createProgram(
    modules.map(({ file }) => file),
    options,
  );
  const byFile = new Map(modules.map((module) => [module.file, module]));
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ');
    const module = byFile.get(diagnostic.file?.fileName ?? '');
    if (module === undefined || diagnostic.start === undefined) return message;
    const { line } = ts.getLineAndCharacterOfPosition(diagnostic.file as ts.SourceFile, diagnostic.start);
    return `${module.page}:${module.lines[line] ?? '?'}: TS${diagnostic.code} ${message}`;
  });
}

/** Writes the modules as JavaScript beside their sources; gives the files that may be run, of each page by itself. */
export function emit(modules: readonly DocModule[]): Map<string, string[]> {
  const runnable = new Map<string, string[]>();
  for (const { page, file, text, runs } of modules) {
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: { ...options, noEmit: false, module: ts.ModuleKind.ESNext },
      fileName: file,
    });
    const target = file.replace(/\.ts$/, '.js');
    writeFileSync(target, outputText);
    if (runs) runnable.set(page, [...(runnable.get(page) ?? []), target]);
  }
  return runnable;
}
