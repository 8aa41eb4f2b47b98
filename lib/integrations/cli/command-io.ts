import { printable } from '../../model/index.js';

/** What a command writes to, and what it is told of its surroundings. */
export interface CommandIo {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Colours only there. */
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What was typed can't be run; the text says why. Exit status 2. */
export class UsageError extends Error {}

/** Rows in columns. What comes from outside is printed on one line, without its control characters. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [header, ...rows].map((row) => row.map(printable));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** A word in a colour, where there are colours. */
export function coloured(io: CommandIo, colour: 'green' | 'yellow' | 'red', text: string): string {
  if (!io.isTerminal || (io.env['NO_COLOR'] ?? '') !== '') return text;
  return `\u001b[${{ green: 32, yellow: 33, red: 31 }[colour]}m${text}\u001b[0m`;
}
