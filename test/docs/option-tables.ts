import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { format, resolveConfig } from 'prettier';
import ts from 'typescript';
import { docOf, readLibrary, type Library } from './library.js';
import { pagePaths, root } from './pages.js';

/** `<!-- options:ConsulOptions -->` … `<!-- /options -->`: a table that is made of the type's docstrings. */
const REGION = /(<!-- options:(\w+)(?: from ([\w/]+))?( own)?(?: without ([\w, .]+?))? -->)[^]*?(<!-- \/options -->)/g;

/** Types of many options, which have a table of their own on one page. */
const SHARED = new Map([
  ['TlsOptions', 'docs/security.md#tls'],
  ['ConnectionOptions', 'https://nodejs.org/api/tls.html#tlsconnectoptions-callback'],
]);

interface Row {
  readonly name: string;
  readonly type: string;
  readonly default: string;
  readonly meaning: string;
}

/** The pages whose tables aren't what the types say; they are written when `write` is set. */
export async function optionTables(write: boolean): Promise<string[]> {
  let library: Library | undefined;
  const problems: string[] = [];
  for (const path of pagePaths()) {
    const file = join(root, path);
    const text = readFileSync(file, 'utf8');
    const here = new Set([...text.matchAll(REGION)].map(([, , name = '']) => name));
    if (here.size === 0) continue;
    library ??= readLibrary();
    const tables = library;
    const made = text.replaceAll(
      REGION,
      (
        _all,
        begin: string,
        name: string,
        from: string | undefined,
        own: string | undefined,
        without: string | undefined,
        end: string,
      ) => {
        const rows = rowsOf({ name, from, own, without }, tables, here, path);
        for (const { name: option } of rows.filter(({ meaning }) => meaning === ''))
          problems.push(`${path}: ${name}.${option} has no docstring`);
        return `${begin}\n\n${tableOf(rows)}\n\n${end}`;
      },
    );
    const wanted = await format(made, { ...(await resolveConfig(file)), parser: 'markdown' });
    if (wanted === text) continue;
    if (write) writeFileSync(file, wanted);
    else problems.push(`${path}: its option tables aren't what the types say: npm run docs:options`);
  }
  return problems;
}

function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((row) => `| \`${row.name}\` | ${row.type} | ${row.default} | ${row.meaning} |`);
  return ['| option | type | default | meaning |', '| --- | --- | --- | --- |', ...cells].join('\n');
}

/** What a region says: whose options, of which folder of lib, whether without those that the type extends, and which not. */
interface Wanted {
  readonly name: string;
  readonly from: string | undefined;
  readonly own: string | undefined;
  readonly without: string | undefined;
}

/** @param apart types that have a table of their own on the page, so that none of their fields stands in this one */
function rowsOf(
  { name, from = '', own, without = '' }: Wanted,
  { checker, typesNamed }: Library,
  apart: ReadonlySet<string>,
  page: string,
): Row[] {
  const [symbol, another] = typesNamed(name, from);
  if (symbol === undefined || another !== undefined) throw new Error(`lib has ${symbol ? 'several' : 'no'} ${name}`);
  const left = new Set(without.split(/, */));
  const rows: Row[] = [];
  const visit = (type: ts.Type, prefix: string, depth: number): void => {
    for (const property of checker.getPropertiesOfType(type)) {
      const option = `${prefix}${property.name}`;
      if (left.has(option)) continue;
      if (own !== undefined && depth === 0 && !symbol.members?.has(property.escapedName)) continue;
      const declaration = property.valueDeclaration ?? property.declarations?.[0];
      if (declaration === undefined || (!ts.isPropertySignature(declaration) && !ts.isMethodSignature(declaration)))
        continue;
      const { text, default: given } = docOf(property, checker);
      const inner = depth < 3 ? nested(declaration, checker, apart) : undefined;
      const optional = declaration.questionToken !== undefined;
      // A group whose fields follow needs a row only when something is said of it.
      if (inner === undefined || text !== '' || given !== undefined) {
        rows.push({
          name: option,
          type: inner === undefined ? typeText(declaration, page) : '',
          default: given === undefined ? (optional ? '' : 'required') : asCode(given),
          meaning: escaped(text),
        });
      }
      if (inner !== undefined) visit(inner, `${option}.`, depth + 1);
    }
  };
  visit(checker.getDeclaredTypeOfSymbol(symbol), '', 0);
  return rows;
}

/** The type of a group of options: a literal, or an interface of ours that has no table of its own. */
function nested(
  declaration: ts.PropertySignature | ts.MethodSignature,
  checker: ts.TypeChecker,
  apart: ReadonlySet<string>,
): ts.Type | undefined {
  const node = declaration.type;
  if (node === undefined || ts.isMethodSignature(declaration)) return undefined;
  const isGroup =
    ts.isTypeLiteralNode(node) ||
    (ts.isIntersectionTypeNode(node) &&
      node.types.every((one) => ts.isTypeLiteralNode(one) || ts.isTypeReferenceNode(one))) ||
    (ts.isTypeReferenceNode(node) &&
      node.typeName.getText().endsWith('Options') &&
      !SHARED.has(node.typeName.getText()) &&
      !apart.has(node.typeName.getText()));
  if (!isGroup) return undefined;
  const type = checker.getTypeFromTypeNode(node);
  // A union of several forms is told by its name.
  return type.isUnion() || checker.getPropertiesOfType(type).length === 0 ? undefined : type;
}

function typeText(declaration: ts.PropertySignature | ts.MethodSignature, page: string): string {
  const shared = SHARED.get(declaration.type?.getText() ?? '');
  if (shared !== undefined) {
    const target = shared.startsWith('docs/') ? posix.relative(dirname(page), shared) : shared;
    return `[\`${declaration.type?.getText() ?? ''}\`](${target})`;
  }
  const text = ts.isMethodSignature(declaration) ? declaration.getText() : (declaration.type?.getText() ?? '');
  const short = text
    .replaceAll(/\breadonly /g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/Readonly<Record<([^<>]+)>>/g, 'Record<$1>');
  return `\`${short.replaceAll('|', String.raw`\|`)}\``;
}

/** A default that is code stands as code; words stay words. */
function asCode(text: string): string {
  const isLiteral = /^('[^']*'|"[^"]*"|[[{(].*[\]})])$/.test(text);
  const isCode = isLiteral || !/[\s`'"]/.test(text);
  const isWord = /^[a-z]+$/.test(text) && !/^(true|false|undefined|null)$/.test(text);
  return isCode && !isWord ? `\`${text.replaceAll('|', String.raw`\|`)}\`` : escaped(text);
}

const escaped = (text: string): string => text.replaceAll('|', String.raw`\|`).replace(/\.$/, '');

if (process.argv[1]?.endsWith('option-tables.ts') === true) {
  for (const problem of await optionTables(true)) process.stdout.write(`${problem}\n`);
}
