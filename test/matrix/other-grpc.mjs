import { appendFileSync } from 'node:fs';
import Module, { register } from 'node:module';
import { pathToFileURL } from 'node:url';

/**
 * Loaded before all else (`--import`), has every import and require of `@grpc/grpc-js` in this process, Nest's and those of other
 * packages too, lead to the copy in the folder that `NSD_GRPC` names. That folder gets a file `used` when it does.
 */
const folder = `${process.env.NSD_GRPC}/node_modules/@grpc/grpc-js/`;
const ANY = /^.*\/node_modules\/@grpc\/grpc-js\//;

const resolveFilename = Module._resolveFilename;
Module._resolveFilename = function (...args) {
  const found = Reflect.apply(resolveFilename, this, args);
  if (!ANY.test(found) || found.startsWith(folder)) return found;
  appendFileSync(`${process.env.NSD_GRPC}/used`, '.');
  return found.replace(ANY, folder);
};

// ECMAScript modules are resolved elsewhere, and by Node 20 in a thread of its own.
const inThread = `
  const folder = ${JSON.stringify(pathToFileURL(folder).href)};
  const ANY = ${ANY};
  export async function resolve(specifier, context, next) {
    const found = await next(specifier, context);
    return ANY.test(found.url) ? { ...found, url: found.url.replace(ANY, folder) } : found;
  }
`;
register(`data:text/javascript,${encodeURIComponent(inThread)}`);
