import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, posix } from 'node:path';
import type { Rule, SchematicContext, TaskConfigurationGenerator, Tree } from '@angular-devkit/schematics';
import type * as TypeScript from 'typescript';
import { BACKENDS, type BackendChoice } from './backends.js';
import { SourceEdit } from './edit.js';

/** What `nest add nestjs-service-discovery` was told. */
export interface NestAddOptions {
  readonly backend?: string;
  readonly service?: string;
  readonly sourceRoot?: string;
  readonly skipInstall?: boolean;
}

/**
 * Puts the module into an app: the import last in the root module, `enableGracefulShutdown` in the place of
 * `enableShutdownHooks`, the backend's package and a line in `.env`. What it doesn't understand it leaves as it is, and
 * says what to write by hand. Twice does no more than once.
 */
export function nestAdd(options: NestAddOptions): Rule {
  return (tree: Tree, context: SchematicContext) => {
    const name = options.backend ?? 'local';
    const backend = BACKENDS[name];
    if (backend === undefined)
      throw new Error(`backend must be one of ${Object.keys(BACKENDS).join(', ')}, not ${name}`);
    const app = new App(tree, context, options.sourceRoot ?? 'src', loadTypeScript());
    app.addModule(backend, options.service ?? app.nameFromManifest());
    app.stopGracefully();
    app.addPackages(backend, options.skipInstall === true);
    app.addVariable(backend);
  };
}

/** The app's own compiler, since it is the app's sources that are read; TypeScript 7 has no such thing. */
function loadTypeScript(): typeof TypeScript | undefined {
  for (const from of [join(process.cwd(), 'package.json'), __filename]) {
    try {
      const found = createRequire(from)('typescript') as typeof TypeScript;
      if (typeof found.createSourceFile === 'function') return found;
    } catch {
      // The other place may have one.
    }
  }
  return undefined;
}

class App {
  private readonly mainPath: string;

  constructor(
    private readonly tree: Tree,
    private readonly context: SchematicContext,
    private readonly sourceRoot: string,
    private readonly ts: typeof TypeScript | undefined,
  ) {
    this.mainPath = posix.join(sourceRoot, 'main.ts');
  }

  nameFromManifest(): string {
    const { name = 'app' } = this.manifest() as { readonly name?: string };
    return name.replace(/^@[^/]*\//, '').toUpperCase();
  }

  addModule(backend: BackendChoice, service: string): void {
    const options = [
      `service: { name: '${service.replaceAll(/['\\]/g, String.raw`\$&`)}' }`,
      ...(backend.hasConfig ? ['registry: backend', 'config: backend'] : ['registry: backend', 'config: local()']),
    ];
    const line = `DiscoveryModule.forRoot({ ${options.join(', ')} })`;
    const edit = this.open(this.rootModulePath());
    const decorator = edit === undefined ? undefined : moduleOptions(edit);
    if (edit === undefined || decorator === undefined) {
      this.byHand(`import ${line} as the last of your root module's imports, with const backend = ${backend.create}`);
      return;
    }
    if (edit.importOf('DiscoveryModule') !== undefined) {
      this.context.logger.info(`${edit.path} has a DiscoveryModule: it stays as it is.`);
      return;
    }
    edit.addImport('DiscoveryModule', 'nestjs-service-discovery');
    edit.addImport(backend.factory, `nestjs-service-discovery/${backend.entry}`);
    if (!backend.hasConfig) edit.addImport('local', 'nestjs-service-discovery/local');
    edit.insert(edit.afterImports, `\n\nconst backend = ${backend.create};`);
    addToImports(edit, decorator, line);
    this.save(edit);
  }

  stopGracefully(): void {
    const edit = this.open(this.mainPath);
    const { ts } = this;
    const created =
      edit === undefined || ts === undefined
        ? undefined
        : edit.all(ts.isAwaitExpression).find(({ expression }) => isCreate(ts, expression));
    if (edit === undefined || ts === undefined || created === undefined) {
      this.byHand('in main.ts: const app = enableGracefulShutdown(await NestFactory.create(AppModule))');
      return;
    }
    if (edit.importOf('enableGracefulShutdown') === undefined) {
      edit.addImport('enableGracefulShutdown', 'nestjs-service-discovery');
      edit.replace(created, `enableGracefulShutdown(${created.getText(edit.source)})`);
    }
    for (const statement of edit.all(ts.isExpressionStatement)) {
      if (/^\w+\.enableShutdownHooks\(/.test(statement.expression.getText(edit.source))) edit.remove(statement);
    }
    this.save(edit);
  }

  addPackages(backend: BackendChoice, skipInstall: boolean): void {
    const manifest = this.manifest() as { dependencies?: Record<string, string> };
    const ours = JSON.parse(readFileSync(join(__dirname, '../../../../package.json'), 'utf8')) as {
      readonly peerDependencies: Readonly<Record<string, string>>;
    };
    const wanted = ['axios', ...(backend.peer === undefined ? [] : [backend.peer])];
    const lacking = wanted.filter((name) => manifest.dependencies?.[name] === undefined);
    if (lacking.length === 0) return;
    const added = Object.fromEntries(lacking.map((name) => [name, ours.peerDependencies[name] ?? '*']));
    const all = Object.entries({ ...manifest.dependencies, ...added });
    manifest.dependencies = Object.fromEntries(all.toSorted(([a], [b]) => (a < b ? -1 : 1)));
    this.tree.overwrite('package.json', `${JSON.stringify(manifest, undefined, 2)}\n`);
    // As `NodePackageInstallTask` says it, without a package of Angular's at run time.
    const install: TaskConfigurationGenerator<object> = {
      toConfiguration: () => ({ name: 'node-package', options: { command: 'install', quiet: true } }),
    };
    if (!skipInstall) this.context.addTask(install);
  }

  addVariable({ variable }: BackendChoice): void {
    if (variable === undefined) return;
    const [name, value] = variable;
    const before = this.tree.exists('.env') ? this.tree.readText('.env') : '';
    if (new RegExp(`^\\s*(export\\s+)?${name}=`, 'm').test(before)) return;
    const text = `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${name}=${value}\n`;
    if (this.tree.exists('.env')) this.tree.overwrite('.env', text);
    else this.tree.create('.env', text);
    this.context.logger.info(`.env says ${name}: start with node --env-file=.env, or let @nestjs/config read it.`);
  }

  /** What `NestFactory.create` is given in main.ts; else the file that `nest new` makes. */
  private rootModulePath(): string {
    const fallback = posix.join(this.sourceRoot, 'app.module.ts');
    const edit = this.open(this.mainPath);
    const { ts } = this;
    if (edit === undefined || ts === undefined) return fallback;
    const call = edit.all(ts.isCallExpression).find((one) => isCreate(ts, one));
    const root = call?.arguments[0];
    const from = root === undefined || !ts.isIdentifier(root) ? undefined : edit.importOf(root.text)?.moduleSpecifier;
    if (from === undefined || !ts.isStringLiteral(from) || !from.text.startsWith('.')) return fallback;
    const path = posix.join(posix.dirname(this.mainPath), from.text.replace(/\.js$/, ''));
    return this.tree.exists(`${path}.ts`) ? `${path}.ts` : fallback;
  }

  private open(path: string): SourceEdit | undefined {
    if (this.ts === undefined || !this.tree.exists(path)) return undefined;
    return new SourceEdit(this.ts, path, this.tree.readText(path));
  }

  private save(edit: SourceEdit): void {
    const text = edit.result();
    if (text !== this.tree.readText(edit.path)) this.tree.overwrite(edit.path, text);
  }

  private manifest(): object {
    return this.tree.exists('package.json') ? (this.tree.readJson('package.json') as object) : {};
  }

  private byHand(what: string): void {
    this.context.logger.warn(`Left for you to write: ${what}.`);
  }
}

function isCreate(ts: typeof TypeScript, node: TypeScript.Node): boolean {
  return ts.isCallExpression(node) && /^NestFactory\s*\.\s*create$/.test(node.expression.getText());
}

/** What `@Module` is given. */
function moduleOptions(edit: SourceEdit): TypeScript.ObjectLiteralExpression | undefined {
  const { ts } = edit;
  const decorator = edit
    .all(ts.isDecorator)
    .map(({ expression }) => expression)
    .find((one) => ts.isCallExpression(one) && one.expression.getText(edit.source) === 'Module');
  const given = decorator !== undefined && ts.isCallExpression(decorator) ? decorator.arguments[0] : undefined;
  return given !== undefined && ts.isObjectLiteralExpression(given) ? given : undefined;
}

/** Puts an element last into `imports`, which is made when it isn't there. */
function addToImports(edit: SourceEdit, options: TypeScript.ObjectLiteralExpression, line: string): void {
  const { ts, source } = edit;
  const imports = options.properties.find((one) => one.name?.getText(source) === 'imports');
  if (imports === undefined) {
    edit.insert(options.getStart(source) + 1, `\n  imports: [${line}],`);
    return;
  }
  const list = ts.isPropertyAssignment(imports) ? imports.initializer : undefined;
  if (list === undefined || !ts.isArrayLiteralExpression(list)) {
    // A list that is made elsewhere: everything of it first.
    edit.replace(imports, `imports: [...${list?.getText(source) ?? 'imports'}, ${line}]`);
    return;
  }
  const last = list.elements.at(-1);
  if (last === undefined) edit.replace(list, `[${line}]`);
  else {
    const isBelow = /\n/.test(source.text.slice(list.getStart(source), last.getStart(source)));
    edit.insert(last.getEnd(), isBelow ? `,\n    ${line}` : `, ${line}`);
  }
}
