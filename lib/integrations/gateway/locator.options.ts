import { callable, either, flag, listOf, object, recordOf, satisfying, text, type Check } from '../../backend/index.js';
import { HANDLING_CHECKS, type RouteHandling } from './route.options.js';

/** Which services get a route of their own, `/<name>/**`, with the name taken off: none, unless they are included. */
export interface LocatorOptions extends RouteHandling {
  /** Names, with `*` for any letters; regular expressions; or a function. @default [] */
  readonly include?: readonly (string | RegExp)[] | ((service: string) => boolean);
  /**
   * Services one of whose instances says all of this are included too. Every service of the registry is watched for
   * it. @default none
   */
  readonly includeMetadata?: Readonly<Record<string, string>>;
  /** Names that are never included, as `include`. @default [] */
  readonly exclude?: readonly (string | RegExp)[];
  /** What stands before the names: `/services`. @default '' */
  readonly prefix?: string;
  /** Whether the names stand in lower case. @default true */
  readonly lowerCase?: boolean;
}

const pattern = either(
  'a name, or a regular expression',
  text,
  satisfying('a regular expression', (value) => value instanceof RegExp),
);

export const locatorCheck: Check = object({
  ...HANDLING_CHECKS,
  include: either('a list of names and patterns, or a function', listOf(pattern), callable),
  includeMetadata: recordOf(text),
  exclude: listOf(pattern),
  prefix: text,
  lowerCase: flag,
} satisfies Record<keyof LocatorOptions, Check>);
