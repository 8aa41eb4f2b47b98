import { DiscoveryError, messageOf } from '../model/index.js';

/** Texts of one outage that are remembered, and told. */
const MAX_TEXTS = 10;

/** The codes that say no more than that nobody answered: one cause, however it is worded. */
const SILENCE: ReadonlySet<string> = new Set(['BACKEND_UNAVAILABLE', 'TIMEOUT']);

/** What sort of failure it is, whatever its text: texts hold times, numbers, one of many addresses. */
export function kindOf(error: unknown): string {
  if (!(error instanceof DiscoveryError)) return 'unknown';
  return SILENCE.has(error.code) ? 'silence' : error.code;
}

/** The outages of backends, and what was told of each: what one cause has done is told once, not for each that felt it. */
export class Outages {
  private readonly open = new Map<string, { readonly kinds: Set<string>; readonly texts: Set<string> }>();

  /** A backend is out. */
  begin(backend: string, error: unknown): void {
    let outage = this.open.get(backend);
    if (outage === undefined) this.open.set(backend, (outage = { kinds: new Set(), texts: new Set() }));
    outage.kinds.add(kindOf(error));
    this.tell(backend, error);
  }

  /** What failed at a backend was told with these words. */
  tell(backend: string, error: unknown): void {
    const texts = this.open.get(backend)?.texts;
    if (texts !== undefined && texts.size < MAX_TEXTS) texts.add(withoutNumbers(messageOf(error)));
  }

  /** Whether what was told of the backend's outage says this too; of too many different ones, no more is told. */
  explains(backend: string, error: unknown): boolean {
    const outage = this.open.get(backend);
    if (outage === undefined) return false;
    const { kinds, texts } = outage;
    if (kindOf(error) === 'silence') return kinds.has('silence');
    return texts.size >= MAX_TEXTS || texts.has(withoutNumbers(messageOf(error)));
  }

  end(backend: string): void {
    this.open.delete(backend);
  }
}

/** The same text for what differs in a time, a count or an address only. */
function withoutNumbers(text: string): string {
  return text.slice(0, 1000).replace(/\S*\d\S*/g, '#');
}
