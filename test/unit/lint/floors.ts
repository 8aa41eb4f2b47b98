import { posix } from 'node:path';
import ts from 'typescript';

/** What files of one place may import besides each other, and besides Node's own modules. */
interface Allowed {
  readonly places: readonly string[];
  readonly packages: readonly string[];
}

const GROUND = ['model'];
const BACKEND = [...GROUND, 'backend', 'backend/port', 'backend/machinery', 'backend/driver'];
const DISCOVERY = [...BACKEND, 'observability', 'balancing', 'discovery'];
const FEATURES = [...DISCOVERY, 'registration', 'config', 'http'];
const NEST = ['@nestjs/common', '@nestjs/core', 'rxjs'];

const allow = (places: readonly string[], packages: readonly string[] = []): Allowed => ({ places, packages });

/** The one file of a wing that the Nest floor and the package's front door may import. */
export const DEFAULT_BACKEND = 'lib/backends/local/index.ts';

/**
 * The house (DESIGN): each place in `lib`, and what it may import. A place is the longest of these names that a path
 * begins with; a `*` is a folder's own name. What isn't named here may import nothing: an addition is a decision.
 */
export const HOUSE: Readonly<Record<string, Allowed>> = {
  model: allow([]),
  'backend/port': allow(GROUND),
  'backend/machinery': allow([...GROUND, 'backend/port']),
  'backend/driver': allow([...GROUND, 'backend/port', 'backend/machinery']),
  backend: allow(BACKEND),
  observability: allow(BACKEND),
  balancing: allow([...BACKEND, 'observability']),
  discovery: allow([...BACKEND, 'observability', 'balancing'], ['rxjs']),
  registration: allow(DISCOVERY, ['rxjs']),
  config: allow(DISCOVERY, ['rxjs', 'dot-properties', 'js-yaml', 'jsonc-parser', 'smol-toml']),
  http: allow(DISCOVERY, ['rxjs', 'axios', 'undici']),
  nest: allow(FEATURES, [...NEST, 'axios']),
  'backends/*': allow(BACKEND),
  'backends/nacos': allow(BACKEND, ['@grpc/grpc-js']),
  'backends/nats': allow(BACKEND, ['nats', '@nats-io/transport-node', 'semver']),
  'backends/zookeeper': allow(BACKEND, ['node-zookeeper-client', 'axios', 'jose']),
  'backends/*/nest': allow([...BACKEND, 'nest', 'backends/*'], NEST),
  'integrations/*': allow([...FEATURES, 'nest'], NEST),
  'integrations/fetch': allow([...FEATURES, 'nest'], ['undici']),
  'integrations/terminus': allow([...FEATURES, 'nest'], [...NEST, '@nestjs/terminus']),
  'integrations/opentelemetry': allow([...FEATURES, 'nest'], [...NEST, '@opentelemetry/api']),
  'integrations/prometheus': allow([...FEATURES, 'nest'], [...NEST, 'prom-client']),
  'integrations/cli': allow([...FEATURES, 'nest'], [...NEST, 'axios']),
  'integrations/nest-config': allow([...FEATURES, 'nest'], [...NEST, '@nestjs/config']),
  'integrations/microservices': allow(
    [...FEATURES, 'nest'],
    [...NEST, '@nestjs/microservices', '@grpc/grpc-js', 'grpc-health-check'],
  ),
  'index.ts': allow([...FEATURES, 'nest']),
};

/** Which place a file is in, and what that may import; undefined for the tests' floor, which may import all. */
function placeOf(path: string): { readonly name: string; readonly rule: string | undefined } {
  const parts = path.split('/').slice(1);
  for (let length = parts.length; length > 0; length -= 1) {
    const name = parts.slice(0, length).join('/');
    const general = name.replace(/\/[^/]+/, '/*');
    const rule = [name, general].find((key) => Object.hasOwn(HOUSE, key));
    if (rule !== undefined) return { name, rule };
  }
  return { name: parts.slice(0, -1).join('/'), rule: undefined };
}

/** Why the file `path` may not import `target` (a file from the root, or a package), or undefined when it may. */
export function problem(path: string, target: string): string | undefined {
  if (/^nestjs-service-discovery(\/|$)/.test(target)) return 'its own package';
  const from = placeOf(path);
  const isFile = target.startsWith('lib/');
  if (!isFile && target.startsWith('.')) return 'what is outside lib/';
  if (path.startsWith('lib/testing/')) return undefined;
  if (from.rule === undefined) return `no rule says what ${path} may import`;
  const { places, packages } = HOUSE[from.rule] ?? allow([]);
  if (!isFile) {
    if (target.startsWith('node:')) return from.name === 'model' ? 'a package' : undefined;
    const name = target.split('/', target.startsWith('@') ? 2 : 1).join('/');
    return packages.includes(name) ? undefined : `the package ${name}`;
  }
  if (target === DEFAULT_BACKEND && ['nest', 'index.ts'].includes(from.name)) return undefined;
  const to = placeOf(target);
  const own = from.name.split('/')[1] ?? '';
  const may = [from.name, ...places.map((place) => place.replace('*', own))];
  return may.includes(to.name) ? undefined : `lib/${to.name}`;
}

/** What `source`, in the file `path`, imports, however it is written: packages by name, files from the root. */
export function importsOf(path: string, source: string, exists: (file: string) => boolean = () => false): string[] {
  return specifiersOf(path, source).map((specifier) => {
    if (!/^\.{1,2}(\/|$)/.test(specifier)) return specifier;
    const joined = posix.join(posix.dirname(path), specifier).replace(/\/$/, '');
    if (joined !== 'lib' && !joined.startsWith('lib/')) return specifier;
    if (/\.[jt]s$/.test(joined)) return joined.replace(/\.js$/, '.ts');
    return exists(`${joined}.ts`) ? `${joined}.ts` : `${joined}/index.ts`;
  });
}

/** What stands in the quotes. TypeScript's own `preProcessFile` would be shorter and misses `export * as x from`. */
function specifiersOf(path: string, source: string): string[] {
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest);
  const found = file.referencedFiles.map(({ fileName }) => fileName);
  const visit = (node: ts.Node): void => {
    const named = moduleOf(node);
    if (named !== undefined && ts.isStringLiteralLike(named)) found.push(named.text);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** The node that names the module, when `node` imports one. */
function moduleOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isExternalModuleReference(node)) return node.expression;
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  if (ts.isModuleDeclaration(node)) return node.name;
  if (!ts.isCallExpression(node)) return undefined;
  const called = node.expression;
  const imports = called.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(called) && called.text === 'require');
  return imports ? node.arguments[0] : undefined;
}

/** What of `files` (path to source) imports what may not be imported. */
export function edgesAgainst(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, source]) =>
    importsOf(path, source, (file) => files.has(file)).flatMap((target) => {
      const reason = problem(path, target);
      return reason === undefined ? [] : [`${path} imports ${target}: ${reason}`];
    }),
  );
}

/** The circles of imports among `files`, types included: each as the way that comes back to where it began. */
export function circlesOf(files: ReadonlyMap<string, string>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path);
    if (at !== -1) circles.push([...way.slice(at), path].join(' → '));
    if (at !== -1 || done.has(path)) return;
    for (const target of importsOf(path, files.get(path) ?? '', (file) => files.has(file))) {
      if (files.has(target)) visit(target, [...way, path]);
    }
    done.add(path);
  };
  for (const path of files.keys()) visit(path, []);
  return circles;
}
