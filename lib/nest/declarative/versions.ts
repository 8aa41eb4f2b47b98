import { VERSION_NEUTRAL, VersioningType, type VersioningOptions } from '@nestjs/common';
import { satisfying } from '../../backend/index.js';

/** A version, or several, as Nest's `@Version` and `@Controller({ version })` take it. */
export type ContractVersion = NonNullable<VersioningOptions['defaultVersion']>;

/** How a version is told to the service: before the path, or in headers. */
export interface ToldVersion {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const UNTOLD: ToldVersion = { path: '', headers: {} };

/** What says which version a route is called in: the first of several, nothing for a neutral one. */
export function tellVersion(version: ContractVersion | undefined, options: VersioningOptions | undefined): ToldVersion {
  const all = [version ?? options?.defaultVersion].flat();
  // What is also neutral takes a call without a version.
  const told = all.includes(VERSION_NEUTRAL) ? undefined : all.find((one) => typeof one === 'string');
  if (typeof told !== 'string') return UNTOLD;
  const type = options?.type ?? VersioningType.URI;
  switch (type) {
    case VersioningType.URI:
      return { path: `/${prefixOf(options)}${told}`, headers: {} };
    case VersioningType.HEADER:
      return { path: '', headers: { [textOf(options, 'header')]: told } };
    case VersioningType.MEDIA_TYPE:
      return { path: '', headers: { Accept: `application/json;${textOf(options, 'key')}${told}` } };
    default:
      return UNTOLD;
  }
}

/** What `app.enableVersioning()` takes, as far as a caller can do it. */
export const versioningCheck = satisfying(
  'what app.enableVersioning() takes, of the type URI, HEADER (with its header) or MEDIA_TYPE (with its key)',
  (value) => {
    if (typeof value !== 'object' || value === null) return false;
    const options = value as VersioningOptions;
    if (options.defaultVersion !== undefined && !isVersion(options.defaultVersion)) return false;
    if (options.type === VersioningType.HEADER) return textOf(options, 'header') !== '';
    if (options.type === VersioningType.MEDIA_TYPE) return textOf(options, 'key') !== '';
    return options.type === VersioningType.URI;
  },
);

/** See {@link ContractVersion}. */
export const versionCheck = satisfying('a version, VERSION_NEUTRAL or a list of them', isVersion);

function isVersion(value: unknown): boolean {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.length > 0 && all.every((one) => one === VERSION_NEUTRAL || (typeof one === 'string' && one !== ''));
}

function prefixOf(options: VersioningOptions | undefined): string {
  const { prefix = 'v' } = (options ?? {}) as { readonly prefix?: string | false };
  return prefix === false ? '' : prefix;
}

function textOf(options: VersioningOptions | undefined, field: 'header' | 'key'): string {
  const value: unknown = options === undefined ? undefined : Reflect.get(options, field);
  return typeof value === 'string' ? value : '';
}
