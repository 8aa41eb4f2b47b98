import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** What an entry exports, and which types its signatures mention without exporting them. */
export interface Signatures {
  readonly values: readonly string[];
  readonly types: readonly string[];
  readonly missing: readonly string[];
}

/**
 * Reads the entries' public signatures: of what is declared in the entry's own room (`/backend` stands on the model, and
 * the root on every floor). What an entry hands on from below it is explained where it comes from.
 */
export function signaturesOf(entries: ReadonlyMap<string, string>): Map<string, Signatures> {
  const config = ts.readConfigFile(`${root}tsconfig.json`, (path) => ts.sys.readFile(path)).config as object;
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const fileOf = (room: string): string => `${root}lib/${room === '' ? '' : `${room}/`}index.ts`;
  const program = ts.createProgram([...entries.values()].map(fileOf), options);
  const checker = program.getTypeChecker();
  return new Map(
    [...entries].map(([entry, room]) => {
      const file = program.getSourceFile(fileOf(room));
      const module = file === undefined ? undefined : checker.getSymbolAtLocation(file);
      if (module === undefined) throw new Error(`${entry} exports nothing`);
      return [entry, readEntry(checker, module, room)];
    }),
  );
}

function readEntry(checker: ts.TypeChecker, module: ts.Symbol, room: string): Signatures {
  const exported = checker.getExportsOfModule(module);
  const known = new Set(exported.map((symbol) => resolved(checker, symbol)));
  const missing = new Set<string>();
  for (const symbol of exported) {
    const target = resolved(checker, symbol);
    for (const declaration of target.declarations ?? []) {
      if (!isOwn(declaration, room)) continue;
      visit(declaration, isTypeOnly(symbol), (mentioned) => {
        if (!known.has(mentioned)) missing.add(`${mentioned.name} (of ${symbol.name})`);
      });
    }
  }
  const isValue = (symbol: ts.Symbol): boolean =>
    (resolved(checker, symbol).flags & ts.SymbolFlags.Value) !== 0 && !isTypeOnly(symbol);
  return {
    values: exported
      .filter(isValue)
      .map(({ name }) => name)
      .toSorted(),
    types: exported
      .filter((symbol) => !isValue(symbol))
      .map(({ name }) => name)
      .toSorted(),
    missing: [...missing].toSorted(),
  };

  /** Calls `tell` for every name of this package that a signature mentions; what isn't exported at all is looked into. */
  function visit(
    node: ts.Node,
    typeOnly: boolean,
    tell: (mentioned: ts.Symbol) => void,
    seen = new Set<ts.Symbol>(),
  ): void {
    if (ts.isBlock(node) || isHidden(node)) return;
    if (typeOnly && ts.isConstructorDeclaration(node)) return;
    if ((ts.isPropertyDeclaration(node) || ts.isParameter(node) || ts.isVariableDeclaration(node)) && node.type) {
      visit(node.type, typeOnly, tell, seen);
      return;
    }
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : ts.isTypeQueryNode(node)
          ? node.exprName
          : undefined;
    if (name !== undefined) {
      const found = checker.getSymbolAtLocation(name);
      const mentioned = found === undefined ? undefined : resolved(checker, found);
      const [declaration] = mentioned?.declarations ?? [];
      if (mentioned !== undefined && declaration !== undefined && isOfPackage(declaration) && !seen.has(mentioned)) {
        if (isExported(declaration)) tell(mentioned);
        else visit(declaration, typeOnly, tell, new Set([...seen, mentioned]));
      }
    }
    ts.forEachChild(node, (child) => visit(child, typeOnly, tell, seen));
  }
}

function resolved(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

function isTypeOnly(symbol: ts.Symbol): boolean {
  return (symbol.declarations ?? []).some(
    (node) => ts.isExportSpecifier(node) && (node.isTypeOnly || node.parent.parent.isTypeOnly),
  );
}

/** Not in the declaration files: `private`, `#private`, and what says `@internal`. */
function isHidden(node: ts.Node): boolean {
  if (ts.isPropertyDeclaration(node) || ts.isMethodDeclaration(node) || ts.isAccessor(node)) {
    if (ts.isPrivateIdentifier(node.name)) return true;
    if ((ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private) !== 0) return true;
  }
  return ts.getJSDocTags(node).some((tag) => tag.tagName.text === 'internal');
}

const isOfPackage = (node: ts.Node): boolean =>
  node.getSourceFile().fileName.startsWith(`${root}lib/`) && !ts.isTypeParameterDeclaration(node);

function isExported(node: ts.Declaration): boolean {
  return (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Export) !== 0;
}

function isOwn(node: ts.Node, room: string): boolean {
  const path = node.getSourceFile().fileName.slice(`${root}lib/`.length);
  if (room === '') return !/^(backends|integrations|testing)\//.test(path);
  if (room === 'backend') return /^(backend|model)\//.test(path);
  return path.startsWith(`${room}/`) && (room.endsWith('/nest') || !path.startsWith(`${room}/nest/`));
}
