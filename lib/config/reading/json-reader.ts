import type { Node } from 'jsonc-parser';
import type { ConfigData, ConfigEntry, EntrySink, FormatReader, OwnText } from './config-entry.js';
import { MAX_DEPTH } from './entry-collector.js';
import { LineNumbers } from './line-numbers.js';

type Json = typeof import('jsonc-parser');

/**
 * JSON as `JSON.parse` has it, but a key that stands twice in one object is an error, and numbers that no number holds exactly
 * stay texts.
 */
export const jsonReader: FormatReader = {
  async read(text, newSink) {
    // It says best what is wrong, and is strict.
    JSON.parse(text);
    assertDepth(text);
    const json = await import('jsonc-parser');
    const root = json.parseTree(text);
    const sink = newSink();
    if (root !== undefined && root.type !== 'null') new ObjectWalk(json, text, sink).walk(root);
    return [sink];
  },
};

class ObjectWalk {
  private readonly lines: LineNumbers;

  constructor(
    private readonly json: Json,
    private readonly text: string,
    private readonly sink: EntrySink,
  ) {
    this.lines = new LineNumbers(text);
  }

  walk(root: Node): void {
    if (root.type !== 'object') throw new Error('must hold keys and values');
    for (const [key, value] of this.pairs(root)) this.put(key, value);
  }

  private put(key: string, node: Node): void {
    if (node.type === 'object' && (node.children ?? []).length > 0) {
      this.sink.checkName(key);
      for (const [name, value] of this.pairs(node)) this.put(`${key}.${name}`, value);
    } else {
      const line = this.lines.lineOf(node.offset);
      this.sink.put(key, { ...this.entryOf(node), line });
    }
  }

  private pairs(object: Node): readonly (readonly [key: string, value: Node])[] {
    const seen = new Set<string>();
    return (object.children ?? []).map(({ children = [] }) => {
      const [name, value] = children;
      // After `JSON.parse` every property has both.
      if (name === undefined || value === undefined) throw new Error('has a key without a value');
      const key = String(name.value);
      if (seen.has(key)) {
        throw new Error(`has the key '${key}' twice in one object at line ${this.lines.lineOf(name.offset)}`);
      }
      seen.add(key);
      return [key, value] as const;
    });
  }

  private entryOf(node: Node): ConfigEntry {
    switch (node.type) {
      case 'object': {
        const value = Object.create(null) as Record<string, ConfigData>;
        let texts: Record<string, OwnText> | undefined;
        for (const [key, item] of this.pairs(node)) {
          this.sink.checkName(key);
          const entry = this.entryOf(item);
          value[key] = entry.value;
          if (entry.text !== undefined) (texts ??= Object.create(null) as Record<string, OwnText>)[key] = entry.text;
        }
        return { value: Object.freeze(value), ...(texts === undefined ? {} : { text: texts }) };
      }
      case 'array': {
        const entries = (node.children ?? []).map((item) => this.entryOf(item));
        const value = Object.freeze(entries.map((entry) => entry.value));
        const hasTexts = entries.some((entry) => entry.text !== undefined);
        return { value, ...(hasTexts ? { text: entries.map((entry) => entry.text) } : {}) };
      }
      case 'number': {
        const text = this.text.slice(node.offset, node.offset + node.length);
        const value = this.json.getNodeValue(node) as number;
        if (Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(text)) return { value: text };
        return String(value) === text ? { value } : { value, text };
      }
      default:
        return { value: this.json.getNodeValue(node) as string | boolean | null };
    }
  }
}

/** The walks go down by recursion: the depth is known before. */
function assertDepth(text: string): void {
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '{' || token === '[') {
      depth += 1;
      if (depth > MAX_DEPTH) throw new Error(`is nested deeper than ${MAX_DEPTH}`);
    } else if (token === '}' || token === ']') depth -= 1;
  }
}
