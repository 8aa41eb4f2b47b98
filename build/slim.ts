import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/**
 * The last step of the build: takes out of dist what nobody who installs the package has a use for. The comments of the
 * JavaScript, which the declarations have too, and the declarations that no entry leads to.
 */
const root = fileURLToPath(new URL('../', import.meta.url));
const printer = ts.createPrinter({ removeComments: true });

/** Code without its comments; a shebang stays. */
function withoutComments(text: string): string {
  const [shebang = ''] = /^#!.*\n/.exec(text) ?? [];
  const source = ts.createSourceFile('code.js', text, ts.ScriptTarget.Latest, false, ts.ScriptKind.JS);
  const code = printer.printFile(source);
  return code.startsWith('#!') ? code : shebang + code;
}

interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, { readonly types: string }>>>>;
}

/** The declarations that the package's entries lead to, from the root. */
function reachable(): Set<string> {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const queue = Object.values(exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : Object.values(entry).map(({ types }) => join(types)),
  );
  const seen = new Set<string>();
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const { importedFiles } = ts.preProcessFile(readFileSync(join(root, path), 'utf8'), true, true);
    const own = importedFiles.filter(({ fileName }) => fileName.startsWith('.'));
    for (const { fileName } of own) queue.push(join(dirname(path), fileName.replace(/\.js$/, '.d.ts')));
  }
  return seen;
}

const used = reachable();
for (const name of readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
  const path = join(root, 'dist', name);
  if (path.endsWith('.js')) writeFileSync(path, withoutComments(readFileSync(path, 'utf8')));
  else if (path.endsWith('.d.ts') && !used.has(relative(root, path))) rmSync(path);
}
