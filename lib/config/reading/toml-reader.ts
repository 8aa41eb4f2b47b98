import type { FormatReader } from './config-entry.js';

/** TOML 1.0. Dates are texts, and integers that no number holds exactly too. */
export const tomlReader: FormatReader = {
  async read(text, newSink) {
    const { parse } = await import('smol-toml');
    const sink = newSink();
    sink.putObject(parse(text, { integersAsBigInt: 'asNeeded' }));
    return [sink];
  },
};
