import { originOfLayer, type ConfigLayer, type ConfigOrigin } from './config-layer.js';
import type { PropertyTree } from './property-tree.js';
import type { ConfigData } from './reading/index.js';
import { isSecretKey } from './secret-keys.js';

/** What one layer has of a key. */
export interface ConfigCandidate {
  /** As it stands there, before it was decrypted and its placeholders resolved; masked when the key is a secret's. */
  readonly value: ConfigData;
  readonly origin: ConfigOrigin;
}

/** Why a key has the value that it has. */
export interface ConfigExplanation {
  /** As it was asked for. */
  readonly key: string;
  /** As the document spells it. */
  readonly spelledAs: string | undefined;
  /** The value in force; undefined when no layer has it; masked when it is a secret. */
  readonly value: ConfigData | undefined;
  /** Where it comes from; undefined when no layer has it. */
  readonly origin: ConfigOrigin | undefined;
  /** The value as it stands there, when placeholders in it were resolved. */
  readonly written: ConfigData | undefined;
  /** Placeholders in it that have no value. */
  readonly unresolved: readonly string[];
  /** It is masked: its name says so, it was decrypted, or it was made of a value that was. */
  readonly secret: boolean;
  /** What other layers have of it, which it overrides; the one that would win next first. */
  readonly overrides: readonly ConfigCandidate[];
  /** The keys below it. */
  readonly keys: readonly string[];
}

/** What stands in the place of a secret. */
export const MASK = '******';

/** Says why a key has the value that it has. */
export function explain(tree: PropertyTree, key: string): ConfigExplanation {
  const property = tree.property(key);
  const secret = property?.secret === true || isSecretKey(key);
  const shown = (value: ConfigData): ConfigData => (secret ? MASK : value);
  const others = tree.history(key).filter(({ layer }) => !isSame(layer, property?.layer));
  return Object.freeze({
    key,
    spelledAs: property?.key,
    value: property === undefined ? undefined : shown(property.value),
    origin: property === undefined ? undefined : tree.originOf(property),
    written: property?.source === undefined || secret ? undefined : property.source.value,
    unresolved: property?.unresolved ?? [],
    secret,
    overrides: Object.freeze(
      others.map(({ layer, entry }) =>
        Object.freeze({ value: shown(entry.value), origin: originOfLayer(layer, entry.line) }),
      ),
    ),
    keys: Object.freeze(tree.keysBelow(key)),
  });
}

function isSame(layer: ConfigLayer, other: ConfigLayer | undefined): boolean {
  if (other === undefined) return false;
  // A variable's layer is made anew each time that it is found.
  return (
    layer === other || (layer.kind === 'environment' && other.kind === layer.kind && layer.document === other.document)
  );
}
