import { describe, DiscoveryError } from '../../../model/index.js';

/** Characters that ZooKeeper refuses in names, and half a pair, which is no text. */
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/;

/**
 * Checks the path of a node: `/`, or names with a slash before each.
 *
 * @throws DiscoveryError `INVALID_NAME`
 */
export function assertPath(path: unknown, field = 'path'): asserts path is string {
  const problem = pathProblem(path);
  if (problem !== undefined) {
    throw new DiscoveryError('INVALID_NAME', `${field} ${problem}, got ${describe(path)}`, { field });
  }
}

function pathProblem(path: unknown): string | undefined {
  if (typeof path !== 'string') return 'must be a text';
  if (!path.startsWith('/')) return 'must begin with a slash';
  if (path === '/') return undefined;
  if (path.endsWith('/')) return 'must not end with a slash';
  if (FORBIDDEN.test(path)) return 'must not contain control characters';
  const names = path.slice(1).split('/');
  if (names.includes('')) return 'must not contain an empty name';
  if (names.includes('.') || names.includes('..')) return 'must not contain . or .. as a name';
  return undefined;
}

/** The path of a child. */
export function childPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}

/** The path of the parent; undefined for `/`. */
export function parentPath(path: string): string | undefined {
  if (path === '/') return undefined;
  const slash = path.lastIndexOf('/');
  return slash === 0 ? '/' : path.slice(0, slash);
}

/** A path as an option gives it, with or without slashes around. @throws DiscoveryError `INVALID_NAME` */
export function normalizePath(given: string, field: string): string {
  const path = `/${given.replace(/^\/+|\/+$/g, '')}`;
  assertPath(path, field);
  return path;
}
