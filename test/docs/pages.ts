import { readdirSync, readFileSync } from 'node:fs';
import { posix, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** What a fence says after its language: how the block is checked. */
export interface BlockMarks {
  /** It goes on where the block before it in the page ended, in one module with it. */
  readonly continues: boolean;
  /** It is this file of the page, which other blocks of the page may import. */
  readonly file?: string;
  /** It is typed, or a key pressed, in this terminal, where what it starts goes on; it is the only command there. */
  readonly terminal?: string;
  /** It is a command that is tried again until it does what the page says. */
  readonly eventually: boolean;
  /** It is what the command before it writes; `…` stands for anything. */
  readonly output: boolean;
  /** It is compiled and not run, and why. */
  readonly noRun?: string;
  /** It isn't compiled either, and why. */
  readonly noCheck?: string;
}

/** A fenced block of a page. */
export interface Block extends BlockMarks {
  readonly page: string;
  /** Line of its fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** What a comment (`<!-- ts … -->`) right before the fence declares for it, unseen by readers. */
  readonly hidden: string;
}

/** One Markdown file that is written by hand. */
export interface Page {
  /** From the root, with slashes: `docs/consul.md`. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

const UNPUBLISHED =
  /^(node_modules|dist|docs\/api|test\/(?!docs\/fixtures))(\/|$)|(^|\/)(node_modules|\.cache|dist)(\/|$)/;

/** Every Markdown file of the package that people read: the root's, those in docs and those of samples. */
export function pagePaths(): string[] {
  const inRoot = readdirSync(root).filter((name) => name.endsWith('.md'));
  const below = ['docs', 'sample'].flatMap((folder) =>
    readdirSync(resolve(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      posix.join(folder, name.split(sep).join('/')),
    ),
  );
  return [...inRoot, ...below].filter((path) => path.endsWith('.md') && !UNPUBLISHED.test(path)).toSorted();
}

export function readPage(path: string): Page {
  const text = readFileSync(resolve(root, path), 'utf8');
  return { path, text, blocks: blocksOf(path, text) };
}

/** The fenced blocks of a Markdown text, in its order. */
export function blocksOf(page: string, text: string): Block[] {
  const lines = text.split('\n');
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const fence = /^(\s*)(`{3,})\s*(\S*)\s*(.*)$/.exec(lines[at] ?? '');
    if (fence === null) continue;
    const [, indent = '', ticks = '', language = '', marks = ''] = fence;
    const end = lines.findIndex((line, index) => index > at && line.trim() === ticks);
    if (end < 0) throw new Error(`${page}:${at + 1}: the block has no end`);
    const body = lines.slice(at + 1, end).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    blocks.push({
      page,
      line: at + 1,
      language,
      text: body.join('\n'),
      hidden: hiddenBefore(lines, at),
      ...marksOf(marks),
    });
    at = end;
  }
  return blocks;
}

function hiddenBefore(lines: readonly string[], fence: number): string {
  let end = fence - 1;
  while (lines[end]?.trim() === '') end--;
  if (lines[end]?.trim().endsWith('-->') !== true) return '';
  let begin = end;
  while (begin >= 0 && lines[begin]?.includes('<!--') !== true) begin--;
  const comment = lines
    .slice(begin, end + 1)
    .join('\n')
    .trim();
  return /^<!-- ts\s([^]*)-->$/.exec(comment)?.[1] ?? '';
}

function marksOf(text: string): BlockMarks {
  const known = /^(continues|eventually|output)?\s*(?:(file|terminal)=(\S+))?\s*(?:no-(run|check): (.+))?$/.exec(
    text.trim(),
  );
  if (known === null) throw new Error(`a fence says \`${text}\`, which means nothing: see BlockMarks`);
  const [, word, name = '', value, kind, reason = ''] = known;
  return {
    continues: word === 'continues',
    eventually: word === 'eventually',
    output: word === 'output',
    ...(value === undefined ? {} : { [name]: value }),
    ...(kind === undefined ? {} : { [kind === 'run' ? 'noRun' : 'noCheck']: reason }),
  };
}

/** The anchors that GitHub gives a page's headings. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  let fenced = false;
  for (const line of text.split('\n')) {
    if (/^\s*```/.test(line)) fenced = !fenced;
    const heading = fenced ? null : /^#{1,6}\s+(.*)$/.exec(line);
    if (heading === null) continue;
    const plain = (heading[1] ?? '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll(/[`*]/g, '');
    const slug = plain
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    let unique = slug;
    for (let count = 1; anchors.has(unique); count++) unique = `${slug}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}
