/** A JSON object from outside: nothing about it is known. */
export type Json = Readonly<Record<string, unknown>>;

/** True for an object that is no list. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object in a text; an empty one for what isn't an object's JSON. */
export function parseObject(text: string): Json {
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) ? json : {};
  } catch {
    return {};
  }
}

/** The text at `key`, or undefined when there is none. */
export function textAt(json: Json, key: string): string | undefined {
  const value = json[key];
  return typeof value === 'string' ? value : undefined;
}

/** The finite number at `key`, also when it was written as a text. */
export function numberAt(json: Json, key: string): number | undefined {
  const value = json[key];
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

/** The boolean at `key`, also when it was written as a text. */
export function flagAt(json: Json, key: string): boolean | undefined {
  const value = json[key];
  if (typeof value === 'boolean') return value;
  return value === 'true' ? true : value === 'false' ? false : undefined;
}

/** The objects in the list at `key`; what isn't an object is left out. */
export function objectsAt(json: Json, key: string): readonly Json[] {
  const value = json[key];
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** The texts in the list at `key`. */
export function textsAt(json: Json, key: string): readonly string[] {
  const value = json[key];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
