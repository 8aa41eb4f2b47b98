import type { EntrySink, FormatReader } from './config-entry.js';
import { putIndexed } from './indexed-keys.js';
import { LineNumbers } from './line-numbers.js';

/** What divides documents of one text, as in Spring Boot: a comment of three dashes. */
const DIVIDER = /^[#!]---[ \t]*$/;

/** Java's properties: the last of equal keys wins, lists are written by index, and `#---` begins another document. */
export const propertiesReader: FormatReader = {
  async read(text, newSink) {
    const { parseLines } = await import('dot-properties');
    const sinks: EntrySink[] = [];
    let before = 0;
    for (const document of documentsOf(text)) {
      const sink = newSink();
      const pairs: [string, string, number][] = [];
      const lines = new LineNumbers(document);
      for (const node of parseLines(document, true)) {
        if (!('key' in node && 'value' in node)) continue;
        const { key, value, range } = node as unknown as { key: string; value: string; range: readonly number[] };
        pairs.push([key, value, before + lines.lineOf(range[0] ?? 0)]);
      }
      putIndexed(sink, pairs);
      sinks.push(sink);
      before += document.split('\n').length - 1;
    }
    return sinks;
  },
};

function documentsOf(text: string): readonly string[] {
  const documents = [''];
  for (const line of text.split(/(?<=\n)/)) {
    if (DIVIDER.test(line.trimEnd())) documents.push('');
    documents[documents.length - 1] += line;
  }
  return documents;
}
