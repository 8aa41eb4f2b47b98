import { existsSync, readFileSync } from 'node:fs';
import { posix, resolve } from 'node:path';
import { anchorsOf, root, type Page } from './pages.js';

/** What lies in the tarball, besides what npm always packs. */
function packed(): readonly string[] {
  const { files } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { readonly files: string[] };
  return [...files, 'README.md', 'LICENSE', 'package.json'];
}

/** A page without its blocks and code spans, in which what looks like a link is none; lines stay lines. */
function proseOf(text: string): string {
  let fenced = false;
  return text
    .split('\n')
    .map((line) => {
      const fence = /^\s*```/.test(line);
      if (fence) fenced = !fenced;
      return fence || fenced ? '' : line.replaceAll(/`[^`]*`/g, '');
    })
    .join('\n');
}

interface Link {
  readonly line: number;
  readonly target: string;
}

function linksOf(text: string): Link[] {
  return proseOf(text)
    .split('\n')
    .flatMap((line, index) =>
      [...line.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ line: index + 1, target })),
    );
}

/**
 * What is wrong with the pages' links: targets and anchors that aren't there, targets that a page of the tarball has and
 * the tarball hasn't, and pages of docs/ to which no way leads from their index.
 */
export function checkLinks(pages: readonly Page[]): string[] {
  const problems: string[] = [];
  const anchors = new Map(pages.map(({ path, text }) => [path, anchorsOf(text)]));
  const inTarball = packed();
  const travels = (path: string): boolean =>
    inTarball.some((file) => path === file || path.startsWith(`${file.replace(/\/$/, '')}/`));
  const indexed = new Set<string>();

  for (const { path, text } of pages) {
    for (const { line, target } of linksOf(text)) {
      if (/^(https?|mailto):/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const to = file === '' ? path : posix.join(posix.dirname(path), file);
      if (path === 'docs/README.md') indexed.add(to);
      const where = `${path}:${line}: ${target}`;
      if (!existsSync(resolve(root, to))) problems.push(`${where}: there is no such file`);
      else if (travels(path) && !travels(to)) problems.push(`${where}: the tarball has the page and not this`);
      else if (anchor !== undefined && anchors.get(to)?.has(anchor) !== true)
        problems.push(`${where}: there is no such heading`);
    }
  }
  const lost = pages.filter(({ path }) => path.startsWith('docs/') && path !== 'docs/README.md' && !indexed.has(path));
  return [...problems, ...lost.map(({ path }) => `${path}: docs/README.md has no link to it`)];
}
