import { DiscoveryError } from '../../model/index.js';

/** The variables of a process. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** What stands in for an option that is left out. */
export interface EnvironmentOption {
  /** The variables' names; the first that is set and not empty counts. */
  readonly variables: readonly string[];
  /** What the option is then. @default the variable's text */
  readonly read?: (text: string, variables: Variables) => unknown;
  /** Options with which it doesn't count, as they say the same in another way. @default [] */
  readonly unless?: readonly string[];
}

/** Which variables stand in for which options, in the order in which they are looked at. */
export type EnvironmentOptions<Options> = Readonly<Partial<Record<keyof Options & string, EnvironmentOption>>>;

/**
 * Reads options with what the environment has for those that are left out. What is given wins, and an empty variable counts as
 * not set.
 *
 * @param resolve checks the options and fills in the defaults
 * @throws DiscoveryError as `resolve` does; about what the environment said `field` is the variable
 */
export function withEnvironment<Options extends object, Settings>(
  options: Options,
  table: EnvironmentOptions<Options>,
  resolve: (options: Options) => Settings,
  variables: Variables = process.env,
): Settings {
  const taken = new Map<string, string>();
  // What is no options object is refused by those who know what it should be.
  if (typeof options !== 'object' || (options as unknown) === null) return resolve(options);
  const filled: Record<string, unknown> = { ...(options as Record<string, unknown>) };
  for (const [field, one] of Object.entries(table) as [string, EnvironmentOption][]) {
    const { variables: names, read = (text) => text, unless = [] } = one;
    if ([field, ...unless].some((name) => filled[name] !== undefined)) continue;
    const name = names.find((candidate) => (variables[candidate] ?? '').trim() !== '');
    if (name === undefined) continue;
    const value = read((variables[name] ?? '').trim(), variables);
    if (value === undefined) continue;
    filled[field] = value;
    taken.set(field, name);
  }
  if (taken.size === 0) return resolve(options);
  try {
    return resolve(filled as Options);
  } catch (error) {
    if (!(error instanceof DiscoveryError)) throw error;
    const name = taken.get(error.field?.split(/[.[]/, 1)[0] ?? '');
    if (name === undefined) throw error;
    const message = `${error.message} (the variable ${name} says so)`;
    throw new DiscoveryError(error.code, message, { field: name, cause: error });
  }
}

/**
 * True or false, as Go reads it, which most of these variables' own tools are written in.
 * @throws DiscoveryError `INVALID_OPTION`, naming the variable
 */
export function flagOf(variables: Variables, name: string): boolean | undefined {
  const text = (variables[name] ?? '').trim();
  if (text === '') return undefined;
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw new DiscoveryError('INVALID_OPTION', `the variable ${name} must be true or false`, { field: name });
}
