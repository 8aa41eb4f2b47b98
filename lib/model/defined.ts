/** `T` whose fields that may be undefined may be left out instead. */
export type Defined<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };

/** A copy without the fields that are undefined: a field that isn't there and one that is undefined are two things. */
export function defined<T extends object>(fields: T): Defined<T> {
  const entries: [string, unknown][] = Object.entries(fields);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Defined<T>;
}
