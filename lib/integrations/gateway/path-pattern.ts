import { DiscoveryError } from '../../model/index.js';
import type { NormalPath } from './normal-path.js';

/** What a pattern found: the parts that it names, as they came, and how many segments lie before its last `**`. */
export interface PathMatch {
  readonly named: ReadonlyMap<string, string>;
}

type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'one'; readonly name: string }
  | { readonly kind: 'rest'; readonly name: string };

/**
 * A pattern of paths: `/orders/:id`, `/orders/*` (one segment), `/api/orders/**` and `/api/orders/*rest` (what follows,
 * nothing too). Letters count as they are written.
 */
export class PathPattern {
  /** The first segment, when it is always the same. */
  readonly first: string | undefined;
  private readonly pieces: readonly Piece[];

  /** @throws DiscoveryError `INVALID_OPTION` */
  constructor(
    readonly text: string,
    field: string,
  ) {
    this.pieces = parse(text, field);
    const [first] = this.pieces;
    this.first = first?.kind === 'text' ? first.text : undefined;
  }

  /** The names that a rewriting may use. */
  get names(): readonly string[] {
    return this.pieces.flatMap((piece) => (piece.kind === 'text' ? [] : [piece.name]));
  }

  match(path: NormalPath): PathMatch | undefined {
    const { segments, written } = path;
    let named: Map<string, string> | undefined;
    for (let at = 0; at < this.pieces.length; at += 1) {
      const piece = this.pieces[at];
      if (piece?.kind === 'rest') {
        (named ??= new Map()).set(piece.name, written.slice(at).join('/'));
        return { named };
      }
      const segment = segments[at];
      if (piece === undefined || segment === undefined) return undefined;
      if (piece.kind === 'one') (named ??= new Map()).set(piece.name, written[at] ?? '');
      else if (piece.text !== segment) return undefined;
    }
    return segments.length === this.pieces.length ? { named: named ?? NOTHING } : undefined;
  }

  /** The pattern without its first segments: what is passed on of a path whose beginning is taken off. */
  after(count: number): PathTemplate {
    return new PathTemplate(this.pieces.slice(count));
  }

  /** A path that matches, with what the pattern names; what isn't given is asked of `lacking`. */
  fill(named: ReadonlyMap<string, string>, lacking: (name: string) => string): string {
    const parts = this.pieces.map((piece) =>
      piece.kind === 'text' ? piece.text : (named.get(piece.name) ?? lacking(piece.name)),
    );
    return joined(parts);
  }
}

const NOTHING: ReadonlyMap<string, string> = new Map();

function parse(text: string, field: string): readonly Piece[] {
  if (!text.startsWith('/')) throw invalid(field, `must begin with a slash, got '${text}'`);
  const parts = text.slice(1).split('/');
  if (parts.at(-1) === '') parts.pop();
  return parts.map((part, at): Piece => {
    const name = /^(?::(\w+)|\{(\w+)\})$/.exec(part);
    if (name !== null) return { kind: 'one', name: name[1] ?? name[2] ?? '' };
    const rest = /^(?:\*(\w+)|\*\*|\{\*(\w+)\})$/.exec(part);
    if (rest !== null) {
      if (at !== parts.length - 1) throw invalid(field, `may have '${part}' at its end only`);
      return { kind: 'rest', name: rest[1] ?? rest[2] ?? '**' };
    }
    if (part === '*') return { kind: 'one', name: `*${at}` };
    if (part === '' || part === '.' || part === '..' || /[*{}?#\\%]|:\w/.test(part)) {
      throw invalid(field, `has a segment that no path matches: '${part}'`);
    }
    return { kind: 'text', text: part };
  });
}

/** A path to rewrite to: `/v2/:id`, `/base/*rest`, `/base/**`. */
export class PathTemplate {
  constructor(private readonly pieces: readonly Piece[]) {}

  /**
   * @param patterns those that must have all the names that it uses
   * @throws DiscoveryError `INVALID_OPTION`
   */
  static of(text: string, patterns: readonly PathPattern[], field: string): PathTemplate {
    const pieces = parse(text, field);
    for (const piece of pieces) {
      if (piece.kind === 'text') continue;
      const lacking = patterns.find(({ names }) => !names.includes(piece.name));
      if (lacking !== undefined)
        throw invalid(field, `uses '${piece.name}', which the path ${lacking.text} doesn't have`);
    }
    return new PathTemplate(pieces);
  }

  fill({ named }: PathMatch): string {
    return `/${this.pieces.map((piece) => (piece.kind === 'text' ? piece.text : (named.get(piece.name) ?? ''))).join('/')}`;
  }

  /** What must have been named for it to become this path; undefined when it never does. */
  read(segments: readonly string[]): ReadonlyMap<string, string> | undefined {
    const named = new Map<string, string>();
    for (const [at, piece] of this.pieces.entries()) {
      if (piece.kind === 'rest') return named.set(piece.name, segments.slice(at).join('/'));
      const segment = segments[at];
      if (segment === undefined || (piece.kind === 'text' && piece.text !== segment)) return undefined;
      if (piece.kind === 'one') named.set(piece.name, segment);
    }
    return segments.length === this.pieces.length ? named : undefined;
  }
}

/** A path of these; a last one that is empty is no segment, unless it is all there is. */
function joined(parts: readonly string[]): string {
  return `/${(parts.at(-1) === '' ? parts.slice(0, -1) : parts).join('/')}`;
}

function invalid(field: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `the gateway: ${field} ${problem}`, { field });
}
