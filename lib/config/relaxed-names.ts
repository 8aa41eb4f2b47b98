/**
 * Keys that differ only in how they are spelled are one key: `db.poolSize`, `db.pool-size`, `db.pool_size`, `DB.POOLSIZE`. This
 * is what they have in common.
 */
export function canonical(key: string): string {
  return isCanonical(key) ? key : key.replace(/[_-]/g, '').toLowerCase();
}

/** Whether a key is spelled as {@link canonical} would. */
export function isCanonical(key: string): boolean {
  return !/[A-Z_-]/.test(key);
}

/** The keys above a key: `a.b.c` lies below `a.b` and `a`. */
export function parentsOf(key: string): readonly string[] {
  const parents: string[] = [];
  for (let dot = key.indexOf('.'); dot !== -1; dot = key.indexOf('.', dot + 1)) parents.push(key.slice(0, dot));
  return parents;
}

/** `pool-size` and `POOL_SIZE` as a property is usually named: `poolSize`. */
export function camelCase(name: string): string {
  const lower = /[a-z]/.test(name) ? name : name.toLowerCase();
  return lower.replace(/[-_]+(.)/g, (_, next: string) => next.toUpperCase()).replace(/[-_]+$/, '');
}
