import type { Event, MappingEvent, ScalarEvent, SequenceEvent } from 'js-yaml';
import type { ConfigData, ConfigEntry, EntrySink, FormatReader, OwnText } from './config-entry.js';
import { MAX_DEPTH } from './entry-collector.js';
import { turn } from '../../backend/index.js';
import { inTurns } from '../turns.js';
import { LineNumbers } from './line-numbers.js';
import { resolvePlain, resolveTagged } from './yaml-scalars.js';

type Yaml = typeof import('js-yaml');

/** What aliases may make of one text, in nodes: a few lines of them could fill the memory. */
const MAX_NODES = 1_000_000;

/** How many nodes are walked, at least, in one step. */
const NODES_A_STEP = 64;

/** The prefix of YAML's own tags, which are written `!!int`. */
const CORE_TAGS = 'tag:yaml.org,2002:';

/**
 * YAML as the other readers of the same documents have it: several documents in one text, merge keys, YAML 1.1's scalars, and
 * a key that stands twice in one map is an error. The parser is loaded with the first YAML document.
 */
export const yamlReader: FormatReader = {
  async read(text, newSink) {
    const yaml = await import('js-yaml');
    let events: Event[];
    try {
      events = yaml.parseEvents(text, { maxDepth: MAX_DEPTH });
    } catch (error) {
      throw plainError(yaml, text, error);
    }
    await turn();
    const sinks: EntrySink[] = [];
    const lines = new LineNumbers(text);
    const ends = endsOf(events);
    for (let at = 0; at < events.length; at = (ends[at] as number) + 1) {
      const sink = newSink();
      await inTurns(new DocumentWalk(yaml, text, lines, events, ends, sink).walk(at));
      sinks.push(sink);
    }
    return sinks;
  },
};

/** A key of a map, and the events that its name and its value begin with. */
interface Pair {
  readonly key: string;
  readonly name: number;
  readonly value: number;
}

/** Walks the events of one document, and gives a sink its entries. */
class DocumentWalk {
  /** The event that each anchor stands before. */
  private readonly anchors = new Map<string, number>();
  /** What is being walked through, so that an alias within what it stands for is found. */
  private readonly open = new Set<number>();
  private nodes = 0;
  private depth = 0;

  constructor(
    private readonly yaml: Yaml,
    private readonly text: string,
    private readonly lines: LineNumbers,
    private readonly events: readonly Event[],
    private readonly ends: Int32Array,
    private readonly sink: EntrySink,
  ) {}

  /** In steps: one for a few dozen nodes, but only between two keys of the top, since what is below is walked by plain recursion. */
  *walk(document: number): Generator<void, void> {
    const { EVENT_ID } = this.yaml;
    const root = document + 1;
    const event = this.events[root] as Event;
    if (event.type === EVENT_ID.POP || this.isNothing(root)) return;
    const at = this.target(root);
    if (this.events[at]?.type !== EVENT_ID.MAPPING) throw this.error('must hold keys and values', root);
    this.noteAnchor(root);
    this.open.add(at);
    let stepEnd = NODES_A_STEP;
    for (const pair of this.pairs(at, undefined)) {
      this.put(pair.key, pair);
      if (this.nodes < stepEnd) continue;
      yield;
      stepEnd = this.nodes + NODES_A_STEP;
    }
  }

  /** Takes what stands at a key: an object as the keys below it. */
  private put(key: string, { name, value: node }: Pair): void {
    this.noteAnchor(node);
    const at = this.target(node);
    if (this.events[at]?.type === this.yaml.EVENT_ID.MAPPING && (this.ends[at] as number) > at + 1) {
      this.within(at, node, () => {
        this.sink.checkName(key);
        for (const pair of this.pairs(at, undefined)) this.put(`${key}.${pair.key}`, pair);
      });
      return;
    }
    this.sink.put(key, { ...this.valueOf(at, node), line: this.lines.lineOf(offsetOf(this.events[name] as Event)) });
  }

  /**
   * The pairs of a map, those of the maps that it merges after its own. A merged pair stands behind the map's own, and behind
   * those of maps merged before it.
   * @param hidden keys that an outer map has already
   */
  private *pairs(map: number, hidden: ReadonlySet<string> | undefined): Generator<Pair> {
    const mine = new Set<string>();
    const own = hidden === undefined ? mine : new Set(hidden);
    const merged: number[] = [];
    const end = this.ends[map] as number;
    for (let at = map + 1; at < end;) {
      const value = (this.ends[at] as number) + 1;
      this.count(at);
      this.noteAnchor(at);
      const key = this.keyOf(at);
      const isMerge = key === '<<' && this.isPlain(at);
      if (isMerge) {
        this.noteAnchor(value);
        merged.push(...this.mergeSources(value));
      } else {
        if (mine.has(key)) throw this.error(`has the key '${key}' twice in one map`, at);
        mine.add(key);
        if (hidden?.has(key) === true) this.skip(value);
        else {
          own.add(key);
          yield { key, name: at, value };
        }
      }
      at = (this.ends[value] as number) + 1;
    }
    for (const source of merged) {
      if (this.open.has(source)) throw this.error('merges a map into itself', source);
      this.open.add(source);
      this.deeper(source);
      for (const pair of this.pairs(source, own)) {
        own.add(pair.key);
        yield pair;
      }
      this.depth -= 1;
      this.open.delete(source);
    }
  }

  private mergeSources(node: number): readonly number[] {
    const { EVENT_ID } = this.yaml;
    const at = this.target(node);
    const event = this.events[at];
    if (event?.type === EVENT_ID.MAPPING) return [at];
    if (event?.type !== EVENT_ID.SEQUENCE) throw this.error("merges ('<<') something that is no map", node);
    const sources: number[] = [];
    for (let item = at + 1; item < (this.ends[at] as number); item = (this.ends[item] as number) + 1) {
      this.noteAnchor(item);
      const map = this.target(item);
      if (this.events[map]?.type !== EVENT_ID.MAPPING) throw this.error("merges ('<<') something that is no map", item);
      sources.push(map);
    }
    return sources;
  }

  /** What is hidden by an outer map may still hold anchors. */
  private skip(node: number): void {
    for (let at = node; at <= (this.ends[node] as number); at += 1) this.noteAnchor(at);
  }

  private valueOf(at: number, node: number): ConfigEntry {
    const { EVENT_ID } = this.yaml;
    this.count(node);
    const event = this.events[at] as Event;
    if (event.type === EVENT_ID.SCALAR) return this.scalarOf(event, at);
    if (event.type === EVENT_ID.SEQUENCE) return this.within(at, node, () => this.listOf(event, at));
    return this.within(at, node, () => this.objectOf(event as MappingEvent, at));
  }

  private itemOf(node: number): ConfigEntry {
    this.noteAnchor(node);
    return this.valueOf(this.target(node), node);
  }

  private listOf(event: SequenceEvent, list: number): ConfigEntry {
    this.tagOf(event, list, ['seq', 'omap', 'pairs', 'set']);
    const values: ConfigData[] = [];
    let texts: (OwnText | undefined)[] | undefined;
    const end = this.ends[list] as number;
    for (let at = list + 1; at < end; at = (this.ends[at] as number) + 1) {
      const { value, text } = this.itemOf(at);
      if (text !== undefined) (texts ??= [])[values.length] = text;
      values.push(value);
    }
    return { value: Object.freeze(values), ...(texts === undefined ? {} : { text: texts }) };
  }

  private objectOf(event: MappingEvent, map: number): ConfigEntry {
    this.tagOf(event, map, ['map', 'omap', 'set']);
    const value = Object.create(null) as Record<string, ConfigData>;
    let texts: Record<string, OwnText> | undefined;
    for (const pair of this.pairs(map, undefined)) {
      this.sink.checkName(pair.key);
      const item = this.itemOf(pair.value);
      if (item.text !== undefined) (texts ??= Object.create(null) as Record<string, OwnText>)[pair.key] = item.text;
      value[pair.key] = item.value;
    }
    return { value: Object.freeze(value), ...(texts === undefined ? {} : { text: texts }) };
  }

  private scalarOf(event: ScalarEvent, at: number): ConfigEntry {
    const text = this.textOf(event);
    const tag = this.tagOf(event, at, undefined);
    if (tag !== undefined) {
      const value = resolveTagged(tag, text);
      if (value === undefined) throw this.error(`has a value that is no ${tag}`, at);
      return typeof value === 'string' || value === null ? { value } : { value, text };
    }
    if (event.style !== this.yaml.SCALAR_STYLE.PLAIN) return { value: text };
    const value = resolvePlain(text);
    return value === null || value === text || `${value as number | boolean}` === text ? { value } : { value, text };
  }

  /** The tag without its prefix; undefined when there is none, or when it only says "as it is" (`!`). */
  private tagOf(event: ScalarEvent | SequenceEvent | MappingEvent, at: number, known: readonly string[] | undefined) {
    if (event.tagStart < 0) return undefined;
    const written = this.text.slice(event.tagStart, event.tagEnd);
    // 'As it is': SnakeYAML reads it as if nothing stood there.
    if (written === '!') return undefined;
    const verbatim = /^!<(.*)>$/.exec(written)?.[1];
    let tag: string | undefined;
    if (verbatim?.startsWith(CORE_TAGS) === true) tag = verbatim.slice(CORE_TAGS.length);
    else if (written.startsWith('!!')) tag = written.slice(2);
    const scalars = ['str', 'null', 'bool', 'int', 'float', 'binary', 'timestamp'];
    if (tag === undefined || !(known ?? scalars).includes(tag))
      throw this.error(`has the tag ${written}, which isn't read`, at);
    return tag;
  }

  /** A key is the text that it is written as, also where a value would be read as something else: as Spring Boot has it. */
  private keyOf(node: number): string {
    const event = this.events[this.target(node)] as Event;
    if (event.type !== this.yaml.EVENT_ID.SCALAR) throw this.error('has a key that is a list or a map', node);
    return this.textOf(event);
  }

  private textOf(event: ScalarEvent): string {
    if (event.valueStart < 0) return '';
    return event.fast ? this.text.slice(event.valueStart, event.valueEnd) : this.yaml.getScalarValue(this.text, event);
  }

  private isPlain(at: number): boolean {
    const event = this.events[at] as Event;
    const { EVENT_ID, SCALAR_STYLE } = this.yaml;
    return event.type === EVENT_ID.SCALAR && event.style === SCALAR_STYLE.PLAIN && event.tagStart < 0;
  }

  private isNothing(at: number): boolean {
    const event = this.events[at] as Event;
    return event.type === this.yaml.EVENT_ID.SCALAR && this.isPlain(at) && resolvePlain(this.textOf(event)) === null;
  }

  /** The node that an alias stands for; any other is itself. */
  private target(node: number): number {
    const event = this.events[node] as Event;
    if (event.type !== this.yaml.EVENT_ID.ALIAS) return node;
    const name = this.text.slice(event.anchorStart, event.anchorEnd);
    const at = this.anchors.get(name);
    if (at === undefined) throw this.error(`has the alias '${name}', which nothing stands for`, node);
    return at;
  }

  private noteAnchor(node: number): void {
    const event = this.events[node] as Event;
    const { EVENT_ID } = this.yaml;
    if (event.type === EVENT_ID.ALIAS || event.type === EVENT_ID.POP || event.type === EVENT_ID.DOCUMENT) return;
    if (event.anchorStart >= 0) this.anchors.set(this.text.slice(event.anchorStart, event.anchorEnd), node);
  }

  private within<T>(at: number, node: number, walk: () => T): T {
    if (this.open.has(at)) throw this.error('has an alias within what it stands for', node);
    this.open.add(at);
    this.deeper(node);
    const result = walk();
    this.depth -= 1;
    this.open.delete(at);
    return result;
  }

  private deeper(node: number): void {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw this.error(`is nested deeper than ${MAX_DEPTH}`, node);
  }

  private count(node: number): void {
    this.nodes += 1;
    if (this.nodes > MAX_NODES) throw this.error(`becomes more than ${MAX_NODES} values through its aliases`, node);
  }

  private error(problem: string, node: number): Error {
    return new Error(`${problem}${placeOf(this.text, offsetOf(this.events[node] as Event))}`);
  }
}

/** The last event of each node: of a list or a map the one that closes it. */
function endsOf(events: readonly Event[]): Int32Array {
  const ends = new Int32Array(events.length);
  const open: number[] = [];
  for (const [at, event] of events.entries()) {
    ends[at] = at;
    // 1 to 3 open a document, a list and a map, 6 closes one of them.
    if (event.type <= 3) open.push(at);
    else if (event.type === 6) ends[open.pop() as number] = at;
  }
  return ends;
}

function offsetOf(event: Event): number {
  if ('valueStart' in event) return Math.max(0, event.valueStart);
  if ('start' in event) return Math.max(0, event.start);
  return 'anchorStart' in event ? Math.max(0, event.anchorStart) : 0;
}

function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return ` at line ${line}, column ${offset - before.lastIndexOf('\n')}`;
}

/** The parser's error as one line of ours: it shows pieces of the text, which may be secrets. */
function plainError(yaml: Yaml, text: string, error: unknown): unknown {
  if (!(error instanceof yaml.YAMLException)) return error;
  const place = error.mark === undefined ? '' : placeOf(text, error.mark.position);
  return new Error(`${error.reason}${place}`);
}
