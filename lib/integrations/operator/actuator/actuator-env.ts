import { explain, MASK, type ConfigCandidate, type PropertyTree } from '../../../config/index.js';
import { maskedValue } from '../masked.js';

/** Keys that are shown at most. */
const MAX_KEYS = 5000;

/** A value of one source, as Spring shows it. */
export interface EnvironmentValue {
  readonly value: unknown;
  readonly origin?: string;
}

/** The configuration in the shape of Spring's `env`: each source with what it has, also of what another overrides. */
export function environmentOf(tree: PropertyTree, profiles: readonly string[]) {
  const sources = new Map<string, Record<string, EnvironmentValue>>();
  for (const key of tree.keys.slice(0, MAX_KEYS)) {
    for (const { source, shown } of valuesOf(tree, key)) {
      let properties = sources.get(source);
      // Without a prototype: the keys are somebody else's.
      if (properties === undefined)
        sources.set(source, (properties = Object.create(null) as Record<string, EnvironmentValue>));
      properties[key] = shown;
    }
  }
  return {
    activeProfiles: profiles,
    defaultProfiles: ['default'],
    propertySources: [...sources].map(([name, properties]) => ({ name, properties })),
  };
}

/** One key of it; undefined when nothing has it. */
export function environmentEntryOf(tree: PropertyTree, profiles: readonly string[], key: string) {
  const [first, ...others] = valuesOf(tree, key);
  if (first === undefined) return undefined;
  return {
    property: { source: first.source, value: first.shown.value },
    activeProfiles: profiles,
    defaultProfiles: ['default'],
    propertySources: [first, ...others].map(({ source, shown }) => ({ name: source, property: shown })),
  };
}

function valuesOf(
  tree: PropertyTree,
  key: string,
): readonly { readonly source: string; readonly shown: EnvironmentValue }[] {
  const { value, origin, secret, overrides } = explain(tree, key);
  const own: readonly Partial<ConfigCandidate>[] = origin === undefined ? [] : [{ value: value ?? null, origin }];
  return [...own, ...overrides].map((one) => {
    const { kind = 'document', backend, name, line } = one.origin ?? {};
    const place = kind === 'document' ? [backend, name].filter((part) => part !== undefined).join(':') : kind;
    const shown = secret ? MASK : maskedValue(one.value);
    return {
      source: place,
      shown: { value: shown, ...(line === undefined ? {} : { origin: `${name ?? place}:${line}` }) },
    };
  });
}
