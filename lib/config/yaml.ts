import type { CST, LineCounter } from 'yaml';

/** Aliases may not be expanded to more than this: a few lines could fill the memory. */
const MAX_ALIAS_COUNT = 100;

/**
 * What is nested deeper isn't read to its end: the library goes down by recursion, and a stack that is full in the wrong place
 * ends the process. What a document may have is less.
 */
const MAX_STACK = 250;

/**
 * Reads YAML as the other readers of the same documents do: merge keys (`<<`) are merged, and a key that stands twice in
 * one map is an error. Loaded with the first YAML document: an app without one doesn't pay for the parser.
 *
 * @throws Error saying what is wrong, and where
 */
export async function readYaml(text: string): Promise<unknown> {
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  const placed = (problem: string, offset: number): Error => {
    const { line, col } = lines.linePos(offset);
    return new Error(`${problem} at line ${line}, column ${col}`);
  };
  const composer = new yaml.Composer({
    merge: true,
    // The library's own check of keys compares each with each: 40,000 of them took 20 seconds. Its pretty errors look for the
    // place of each from the beginning.
    uniqueKeys: false,
    prettyErrors: false,
    // It would write to the process's own warnings, in words from outside.
    logLevel: 'error',
  });
  // The first error is enough: of ten thousand, gathered one by one, each costs as much as a page of good text. It isn't in the
  // library's types, so errors that come to be gathered all the same are looked at below.
  Reflect.set(composer, 'onError', (source: unknown, _code: unknown, message: string, isWarning?: boolean) => {
    if (isWarning !== true) throw placed(message, offsetOf(source));
  });
  const [document, second] = [...composer.compose(tokensOf(yaml, text, lines, placed), true, text.length)];
  if (document === undefined) return null;
  if (second !== undefined)
    throw placed('it holds more than one document, of which the second begins', second.range[0]);
  const [error] = document.errors;
  if (error !== undefined) throw placed(error.message, error.pos[0]);
  yaml.visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!yaml.isScalar(key) || key.value === '<<') continue;
        if (seen.has(key.value)) {
          throw placed(`Map keys must be unique: '${String(key.value)}'`, key.range?.[0] ?? 0);
        }
        seen.add(key.value);
      }
    },
  });
  return document.toJS({ maxAliasCount: MAX_ALIAS_COUNT }) as unknown;
}

/** Where something of the library's is, in any of the ways in which it says so. */
function offsetOf(source: unknown): number {
  if (typeof source === 'number') return source;
  if (Array.isArray(source)) return offsetOf(source[0]);
  if (typeof source !== 'object' || source === null) return 0;
  if ('offset' in source) return offsetOf(source.offset);
  return 'range' in source ? offsetOf(source.range) : 0;
}

/** The parser's tokens, which it makes without recursion. */
function* tokensOf(
  yaml: typeof import('yaml'),
  text: string,
  lines: LineCounter,
  placed: (problem: string, offset: number) => Error,
): Generator<CST.Token, void> {
  const parser = new yaml.Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const lexeme of new yaml.Lexer().lex(text)) {
    yield* parser.next(lexeme);
    if (parser.stack.length > MAX_STACK) throw placed('it is nested too deeply', parser.offset);
  }
  yield* parser.end();
}
