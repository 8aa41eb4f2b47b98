import type { ConfigData, ConfigEntry, EntrySink } from './config-entry.js';

/** A list or an object that is being put together. */
type Building = Map<string | number, Building | string>;

/**
 * Takes entries of a format that only knows texts, where lists are written by index: `servers[0].host=a`, `servers[1].host=b`,
 * as Spring has them in properties. A key in brackets that is no number is a name as it is: `labels[my.key]`.
 *
 * @throws Error for a list with a gap
 */
export function putIndexed(
  sink: EntrySink,
  pairs: Iterable<readonly [key: string, value: string, line?: number]>,
): void {
  const lists = new Map<string, { items: Building; line: number | undefined }>();
  for (const [key, value, line] of pairs) {
    const open = key.indexOf('[');
    const steps = open > 0 ? stepsOf(key.slice(open)) : undefined;
    for (const step of steps ?? []) if (typeof step === 'string') sink.checkName(step);
    if (steps === undefined || typeof steps[0] !== 'number') {
      sink.put(key, { value, line });
      continue;
    }
    const name = key.slice(0, open);
    const list = lists.get(name) ?? { items: new Map(), line };
    lists.set(name, list);
    place(list.items, steps, value);
  }
  for (const [name, { items, line }] of lists) {
    const entry: ConfigEntry = { value: built(name, items), line };
    sink.put(name, entry);
  }
}

/** `[0].host.name` as steps, or undefined for what isn't written so. */
function stepsOf(path: string): readonly (string | number)[] | undefined {
  const steps: (string | number)[] = [];
  const step = /\[(\d{1,4})\]|\[([^\]]*)\]|\.([^.[\]]+)/y;
  while (step.lastIndex < path.length) {
    const found = step.exec(path);
    if (found === null) return undefined;
    steps.push(found[1] === undefined ? (found[2] ?? found[3] ?? '') : Number(found[1]));
  }
  return steps;
}

function place(items: Building, steps: readonly (string | number)[], value: string): void {
  let at = items;
  for (const step of steps.slice(0, -1)) {
    const next = at.get(step);
    const inner: Building = next instanceof Map ? next : new Map();
    if (inner !== next) at.set(step, inner);
    at = inner;
  }
  at.set(steps.at(-1) as string | number, value);
}

function built(path: string, items: Building): ConfigData {
  if ([...items.keys()].every((step) => typeof step === 'number')) {
    const list: ConfigData[] = [];
    for (let index = 0; index < items.size; index += 1) {
      const item = items.get(index);
      if (item === undefined) throw new Error(`has no ${path}[${index}], but a later one`);
      list.push(typeof item === 'string' ? item : built(`${path}[${index}]`, item));
    }
    return Object.freeze(list);
  }
  const object = Object.create(null) as Record<string, ConfigData>;
  for (const [step, item] of items) {
    const inner = `${path}.${step}`;
    object[String(step)] = typeof item === 'string' ? item : built(inner, item);
  }
  return Object.freeze(object);
}
