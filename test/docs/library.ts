import { join } from 'node:path';
import ts from 'typescript';
import { root } from './pages.js';

/** The library's sources, as the compiler sees them. */
export interface Library {
  readonly checker: ts.TypeChecker;
  /** What a source file exports, by its path below lib: `backends/consul/index.ts`. */
  exportsOf(path: string): readonly ts.Symbol[];
  /** Every exported interface or type alias of that name, of a folder below lib. */
  typesNamed(name: string, from: string): readonly ts.Symbol[];
}

export function readLibrary(): Library {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    readonly config: object;
  };
  const { options, fileNames } = ts.parseJsonConfigFileContent({ ...config, include: ['lib'] }, ts.sys, root);
  const program = ts.createProgram(fileNames, options);
  const checker = program.getTypeChecker();
  const lib = join(root, 'lib');
  const exportsOf = (path: string): readonly ts.Symbol[] => {
    const source = program.getSourceFile(join(lib, path));
    const symbol = source === undefined ? undefined : checker.getSymbolAtLocation(source);
    return symbol === undefined ? [] : checker.getExportsOfModule(symbol).map((one) => resolved(one, checker));
  };
  const typesNamed = (name: string, from: string): readonly ts.Symbol[] => {
    const found = new Set<ts.Symbol>();
    for (const source of program.getSourceFiles()) {
      if (!source.fileName.startsWith(join(lib, from))) continue;
      const symbol = checker.getSymbolAtLocation(source);
      for (const one of symbol === undefined ? [] : checker.getExportsOfModule(symbol)) {
        const target = resolved(one, checker);
        const kind = ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias;
        if (target.name === name && (target.flags & kind) !== 0) found.add(target);
      }
    }
    return [...found];
  };
  return { checker, exportsOf, typesNamed };
}

function resolved(symbol: ts.Symbol, checker: ts.TypeChecker): ts.Symbol {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

/** What a docstring says, `{@link x}` as `x` in code, lines joined. */
export function docOf(
  symbol: ts.Symbol,
  checker: ts.TypeChecker,
): { readonly text: string; readonly default?: string } {
  const text = plain(ts.displayPartsToString(symbol.getDocumentationComment(checker)));
  const tag = symbol.getJsDocTags(checker).find(({ name }) => name === 'default');
  return tag === undefined ? { text } : { text, default: plain(ts.displayPartsToString(tag.text)) };
}

function plain(text: string): string {
  return text
    .replaceAll(/\{@link ([^}|]+)(?:\|[^}]*)?\}/g, '`$1`')
    .replaceAll(/;?(^|\n)- /g, (_all, begin: string) => (begin === '' ? '' : '; '))
    .replace(/:;/g, ':')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
