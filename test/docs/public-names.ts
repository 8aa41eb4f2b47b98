import ts from 'typescript';
import { entries } from '../unit/lint/entries.js';
import { docOf, readLibrary } from './library.js';

/** Names that an entry exports without a word on what they are; of functions, parameters and errors are in that word. */
export function checkPublicNames(): string[] {
  const { checker, exportsOf } = readLibrary();
  const problems = new Set<string>();
  const told = new Set<ts.Symbol>();
  for (const [entry, room] of entries()) {
    for (const symbol of exportsOf(`${room === '' ? '' : `${room}/`}index.ts`)) {
      if (told.has(symbol)) continue;
      told.add(symbol);
      if (docOf(symbol, checker).text === '') problems.add(`${entry}: ${symbol.name} has no docstring`);
      if ((symbol.flags & ts.SymbolFlags.Class) === 0) continue;
      for (const member of publicMembers(symbol, checker)) {
        problems.add(`${entry}: ${symbol.name}.${member.name} has no docstring`);
      }
    }
  }
  return [...problems];
}

/** Methods that Nest calls: their meaning is Nest's. */
const HOOKS = /^(configure|on[A-Z]\w+|beforeApplicationShutdown|canActivate|intercept|catch|transform|use)$/;

/** Methods of a class that users call and of which neither the class nor what it implements says anything. */
function publicMembers(symbol: ts.Symbol, checker: ts.TypeChecker): ts.Symbol[] {
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  return checker.getPropertiesOfType(type).filter((member) => {
    const declaration = member.valueDeclaration;
    if (declaration === undefined || !ts.isMethodDeclaration(declaration)) return false;
    const hidden = ts.getCombinedModifierFlags(declaration) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected);
    if (
      hidden !== 0 ||
      HOOKS.test(member.name) ||
      ts.isPrivateIdentifier(declaration.name) ||
      member.name.startsWith('__')
    )
      return false;
    const isInternal = member.getJsDocTags(checker).some(({ name }) => name === 'internal');
    return !isInternal && member.getDocumentationComment(checker).length === 0;
  });
}
