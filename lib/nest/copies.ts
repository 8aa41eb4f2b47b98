/** One copy of this package in the process, and what decorators have declared with it. */
interface Copy {
  readonly path: string;
  readonly declared: Set<string>;
}

/** Where all copies of the process know each other. */
const COPIES = Symbol.for('nestjs-service-discovery:copies');

/** Notes that a decorator of this copy was used. */
export function noteDeclaration(what: string): void {
  const all = copies();
  const path = ownPath();
  let own = all.find((copy) => copy.path === path);
  if (own === undefined) {
    own = { path, declared: new Set() };
    all.push(own);
  }
  own.declared.add(what);
}

/**
 * What to say when another copy of this package has declared something, which Nest then finds nobody to provide: its own
 * message looks for the fault in the app's modules. Undefined when all is well.
 */
export function warningOfCopies(): string | undefined {
  const own = ownPath();
  const others = copies().filter(({ path }) => path !== own);
  if (others.length === 0) return undefined;
  const named = others.map(({ path, declared }) => `${path} (which declared ${[...declared].slice(0, 3).join(', ')})`);
  return (
    `two copies of nestjs-service-discovery are loaded: ${own}, and ${named.join(', ')}. What one declares the other can't ` +
    'provide: make it a peer dependency of the packages that share it'
  );
}

function copies(): Copy[] {
  const shared = globalThis as { [COPIES]?: Copy[] };
  return (shared[COPIES] ??= []);
}

let path: string | undefined;

/** The file that this stands in, which ES modules and CommonJS have no common name for. */
function ownPath(): string {
  path ??=
    /(?:\(|at )((?:file:)?[^()\s]+|[^()]+):\d+:\d+\)?$/.exec(new Error().stack?.split('\n')[1] ?? '')?.[1] ?? 'here';
  return path;
}
