import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './pages.js';

/** Rooms whose lines a user of the module never sees, or sees as an error's message: readers, and clients used alone. */
const APART = /^(config\/reading|testing|integrations\/cli)\//;

/**
 * Every line that the library writes to a log, as it stands in the source, with `…` for what is filled in. What is put
 * together elsewhere (`warn(advice)`) isn't found; such lines are returned by functions that are named here.
 */
export function logLines(): string[] {
  const lines = new Set<string>();
  for (const file of readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })) {
    const path = file.replaceAll('\\', '/');
    if (!path.endsWith('.ts') || APART.test(path)) continue;
    const source = ts.createSourceFile(
      path,
      readFileSync(join(root, 'lib', file), 'utf8'),
      ts.ScriptTarget.ES2022,
      true,
    );
    const visit = (node: ts.Node): void => {
      const returned = path === 'nest/startup-advice.ts' && ts.isReturnStatement(node) ? node.expression : undefined;
      const written = returned ?? writtenBy(node);
      for (const text of written === undefined ? [] : textsOf(written)) if (/[a-z]{3}/.test(text)) lines.add(text);
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return [...lines].filter((line) => line.replaceAll('…', '').length > 12).toSorted();
}

/** The first argument of `….logger.warn(…)`, and of the event log's own `warn`, `log` and `error`. */
function writtenBy(node: ts.Node): ts.Expression | undefined {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return undefined;
  const { expression: of, name } = node.expression;
  const inLog = node.getSourceFile().fileName.endsWith('observability/event-log.ts');
  const isLogger = /(logger|leveled)$/i.test(of.getText()) || (inLog && of.kind === ts.SyntaxKind.ThisKeyword);
  return isLogger && /^(warn|error|log)$/.test(name.text) ? node.arguments[0] : undefined;
}

/** The texts that an expression may be. */
function textsOf(node: ts.Expression): string[] {
  if (ts.isParenthesizedExpression(node)) return textsOf(node.expression);
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return [node.text];
  if (ts.isTemplateExpression(node)) {
    return [node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('')];
  }
  if (ts.isConditionalExpression(node)) return [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)];
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    const [left = '…'] = textsOf(node.left);
    const [right = '…'] = textsOf(node.right);
    return [left + right];
  }
  return [];
}
