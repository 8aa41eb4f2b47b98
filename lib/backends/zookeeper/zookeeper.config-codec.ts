import { bytesDocument, digestOf, entriesDocument, formatByExtension, textOf } from '../../backend/index.js';
import { isPrototypeKey, type ConfigDocument } from '../../model/index.js';
import type { TreeNode } from './client/watched-tree.js';

/** A node as a document of its own. */
export function nodeDocument(id: string, node: TreeNode): ConfigDocument {
  return bytesDocument(id, node.mzxid.toString(), formatByExtension(id) ?? 'text', node.data);
}

/** True when the node says something: it has data, or it is a leaf, whose value is then empty. */
export function saysSomething(node: { readonly data: Buffer; readonly children: readonly string[] }): boolean {
  return node.data.length > 0 || node.children.length === 0;
}

/**
 * A context as one document: each node below it is a property, named by its path with dots. Undefined when there is none.
 *
 * @param onSkipped told of nodes whose name can't be a property's, or whose value is no text
 */
export function contextDocument(
  id: string,
  root: string,
  nodes: ReadonlyMap<string, TreeNode>,
  onSkipped: (path: string, problem: string, version?: string) => void,
): ConfigDocument | undefined {
  const top = nodes.get(root);
  if (top === undefined) return undefined;
  const entries: [string, string][] = [];
  const revisions: string[] = [];
  const visit = (node: TreeNode, names: readonly string[]): void => {
    if (names.length > 0 && saysSomething(node)) {
      const text = textOf(node.data);
      if (text === undefined) onSkipped(node.path, 'is no text in UTF-8', node.mzxid.toString());
      else entries.push([names.join('.'), text]);
      revisions.push(`${names.join('/')}=${node.mzxid}`);
    }
    for (const name of node.children) {
      const path = `${node.path}/${name}`;
      const child = nodes.get(path);
      if (child === undefined) continue;
      if (name.split('.').some(isPrototypeKey)) onSkipped(path, `can't be the name of a property`);
      else visit(child, [...names, name]);
    }
  };
  visit(top, []);
  // Nodes know nothing of those below them: the context's revision is made of theirs.
  return entriesDocument(id, digestOf(revisions.join('\n')), entries);
}
