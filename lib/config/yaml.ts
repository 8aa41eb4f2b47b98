import type { Document } from 'yaml';

/** Aliases may not be expanded to more than this: a few lines could fill the memory. */
const MAX_ALIAS_COUNT = 100;

/**
 * Reads YAML as the other readers of the same documents do: merge keys (`<<`) are merged, and a key that stands twice in
 * one map is an error. Loaded with the first YAML document: an app without one doesn't pay for the parser.
 *
 * @throws Error saying what is wrong, and where
 */
export async function readYaml(text: string): Promise<unknown> {
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  // The library's own check of keys compares each with each: 40,000 of them took 20 seconds.
  const document: Document = yaml.parseDocument(text, { merge: true, uniqueKeys: false, lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  yaml.visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!yaml.isScalar(key) || key.value === '<<') continue;
        if (seen.has(key.value)) {
          const { line, col } = lines.linePos(key.range?.[0] ?? 0);
          throw new Error(`Map keys must be unique: '${String(key.value)}' at line ${line}, column ${col}`);
        }
        seen.add(key.value);
      }
    },
  });
  return document.toJS({ maxAliasCount: MAX_ALIAS_COUNT }) as unknown;
}
