import { inspect } from 'node:util';

const hidden = (): string => '[hidden]';

/**
 * Keeps what holds secrets out of logs: neither `util.inspect` nor `JSON.stringify` shows anything of it, however deep it
 * lies in what is shown. For an object of settings, or the prototype of a class; copies of it are not concealed.
 */
export function conceal<T extends object>(holder: T): T {
  return Object.defineProperties(holder, { [inspect.custom]: { value: hidden }, toJSON: { value: hidden } });
}
