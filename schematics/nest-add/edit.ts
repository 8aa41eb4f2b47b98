import type * as TypeScript from 'typescript';

/** A change of a text, by its place in the text before. */
interface Change {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Changes a source file by what the compiler sees in it; whatever isn't changed stays as it is written. */
export class SourceEdit {
  readonly source: TypeScript.SourceFile;
  private readonly changes: Change[] = [];

  constructor(
    readonly ts: typeof TypeScript,
    readonly path: string,
    private readonly text: string,
  ) {
    this.source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  }

  replace(node: TypeScript.Node, text: string): void {
    this.changes.push({ start: node.getStart(this.source), end: node.getEnd(), text });
  }

  insert(at: number, text: string): void {
    this.changes.push({ start: at, end: at, text });
  }

  /** With the line that it stands on, when nothing else does. */
  remove(node: TypeScript.Node): void {
    let start = node.getStart(this.source);
    let end = node.getEnd();
    while (start > 0 && /[ \t]/.test(this.text.charAt(start - 1))) start--;
    if (/^[ \t]*\r?\n/.test(this.text.slice(end))) end = this.text.indexOf('\n', end) + 1;
    this.changes.push({ start, end, text: '' });
  }

  /** The declaration of an import of `name`, if there is one. */
  importOf(name: string): TypeScript.ImportDeclaration | undefined {
    return this.imports().find((one) => {
      const bindings = one.importClause?.namedBindings;
      return (
        bindings !== undefined &&
        this.ts.isNamedImports(bindings) &&
        bindings.elements.some((element) => element.name.text === name)
      );
    });
  }

  /** Imports names after the imports that there are, with the quotes that these have. */
  addImport(names: string, from: string): void {
    const last = this.imports().at(-1);
    const quote = last?.moduleSpecifier.getText(this.source).startsWith('"') === true ? '"' : "'";
    const line = `import { ${names} } from ${quote}${from}${quote};`;
    if (last === undefined) this.insert(0, `${line}\n`);
    else this.insert(last.getEnd(), `\n${line}`);
  }

  /** The place after the last import. */
  get afterImports(): number {
    return this.imports().at(-1)?.getEnd() ?? 0;
  }

  /** Every node of a kind, in the order of the text. */
  all<T extends TypeScript.Node>(is: (node: TypeScript.Node) => node is T): T[] {
    const found: T[] = [];
    const visit = (node: TypeScript.Node): void => {
      if (is(node)) found.push(node);
      node.forEachChild(visit);
    };
    visit(this.source);
    return found;
  }

  result(): string {
    const inOrder = this.changes.map((change, index) => ({ ...change, index }));
    inOrder.sort((a, b) => b.start - a.start || b.index - a.index);
    let text = this.text;
    for (const { start, end, text: put } of inOrder) text = text.slice(0, start) + put + text.slice(end);
    return text;
  }

  private imports(): TypeScript.ImportDeclaration[] {
    return this.source.statements.filter((one) => this.ts.isImportDeclaration(one));
  }
}
