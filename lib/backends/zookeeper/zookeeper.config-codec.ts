import { createHash } from 'node:crypto';
import { isPrototypeKey, type ConfigDocument, type ConfigFormat } from '../../model/index.js';
import type { TreeNode } from './client/watched-tree.js';

const FORMATS: ReadonlyMap<string, ConfigFormat> = new Map([
  ['yaml', 'yaml'],
  ['yml', 'yaml'],
  ['json', 'json'],
  ['properties', 'properties'],
]);

/** How a node's text is read: by the extension of its name, if it has one. */
export function formatOf(id: string): ConfigFormat {
  return FORMATS.get(/\.([a-z]+)$/i.exec(id)?.[1]?.toLowerCase() ?? '') ?? 'text';
}

/** The names of an application's contexts, those that win last, as Spring Cloud Zookeeper orders them. */
export function contextsOf(
  application: string,
  profiles: readonly string[],
  defaultContext: string,
  separator: string,
): readonly string[] {
  const withProfiles = (name: string): readonly string[] => [
    name,
    ...profiles.map((profile) => `${name}${separator}${profile}`),
  ];
  return [...new Set([...withProfiles(defaultContext), ...withProfiles(application)])];
}

/** A node as a document of its own. */
export function nodeDocument(id: string, node: TreeNode): ConfigDocument {
  return Object.freeze({
    id,
    revision: node.mzxid.toString(),
    content: Object.freeze({ format: formatOf(id), text: node.data.toString('utf8') }),
  });
}

/** True when the node says something: it has data, or it is a leaf, whose value is then empty. */
export function saysSomething(node: { readonly data: Buffer; readonly children: readonly string[] }): boolean {
  return node.data.length > 0 || node.children.length === 0;
}

/**
 * A context as one document: each node below it is a property, named by its path with dots. Undefined when there is none.
 *
 * @param onSkipped told of nodes whose name can't be a property's
 */
export function contextDocument(
  id: string,
  root: string,
  nodes: ReadonlyMap<string, TreeNode>,
  onSkipped: (path: string) => void,
): ConfigDocument | undefined {
  const top = nodes.get(root);
  if (top === undefined) return undefined;
  const entries: [string, string][] = [];
  const revisions: string[] = [];
  const visit = (node: TreeNode, names: readonly string[]): void => {
    if (names.length > 0 && saysSomething(node)) {
      entries.push([names.join('.'), node.data.toString('utf8')]);
      revisions.push(`${names.join('/')}=${node.mzxid}`);
    }
    for (const name of node.children) {
      const path = `${node.path}/${name}`;
      const child = nodes.get(path);
      if (child === undefined) continue;
      if (name.split('.').some(isPrototypeKey)) onSkipped(path);
      else visit(child, [...names, name]);
    }
  };
  visit(top, []);
  if (entries.length === 0) return undefined;
  return Object.freeze({
    id,
    // Nodes know nothing of those below them: the context's revision is made of theirs.
    revision: createHash('sha256').update(revisions.join('\n')).digest('hex'),
    content: Object.freeze({ format: 'entries' as const, entries: Object.freeze(Object.fromEntries(entries)) }),
  });
}
