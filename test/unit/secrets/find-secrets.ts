/**
 * The paths of enumerable properties, as `util.inspect` and `JSON.stringify` follow them, that lead to a text or to bytes
 * which hold `marker`, plain or in base64. Functions' closures and private fields aren't shown by either.
 */
export function findSecrets(root: unknown, marker: string): string[] {
  const found: string[] = [];
  const seen = new Set<unknown>();
  const holds = (text: string): boolean =>
    text.includes(marker) ||
    [...text.matchAll(/[A-Za-z0-9+/_-]{12,}={0,2}/g)].some(([one]) => decoded(one).includes(marker));
  const visit = (value: unknown, path: string): void => {
    if (typeof value === 'string') {
      if (holds(value)) found.push(path);
      return;
    }
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    if (value instanceof Uint8Array) {
      if (Buffer.from(value).toString('latin1').includes(marker)) found.push(path);
      return;
    }
    if (Symbol.for('nodejs.util.inspect.custom') in value && 'toJSON' in value) return;
    if (value instanceof Map || value instanceof Set)
      [...value.entries()].flat().forEach((one) => visit(one, `${path}<>`));
    for (const [key, one] of Object.entries(value)) visit(one, `${path}.${key}`);
  };
  visit(root, '');
  return found;
}

function decoded(text: string): string {
  return Buffer.from(text, 'base64').toString('latin1');
}
