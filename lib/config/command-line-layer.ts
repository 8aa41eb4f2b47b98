import { isPrototypeKey } from '../model/index.js';
import type { ConfigLayer } from './config-layer.js';

/**
 * Arguments of the command line as layers of configuration: `--db.url=…`, and `--feature.on` for `true`. Others than those
 * that begin with two dashes are the app's own; what follows `--` too.
 *
 * @param args as in `process.argv.slice(2)`
 */
export function commandLineLayers(args: readonly string[]): readonly ConfigLayer[] {
  const layers: ConfigLayer[] = [];
  const end = args.indexOf('--');
  for (const argument of end === -1 ? args : args.slice(0, end)) {
    const [, key, value] = /^--([^=\s]+)(?:=([\s\S]*))?$/.exec(argument) ?? [];
    if (key === undefined || key.split('.').some((part) => part === '' || isPrototypeKey(part))) continue;
    const entries = new Map([[key, { value: value ?? 'true' }]]);
    layers.push({ kind: 'command-line', document: `--${key}`, entries });
  }
  return layers;
}
