import { readFile } from 'node:fs/promises';
import type { ConfigClient, ConfigData, ConfigOrigin } from '../../config/index.js';
import type { ConfigFormat } from '../../model/index.js';
import type { Command, CommandOptions } from './command.js';
import { table, UsageError, type CommandIo } from './command-io.js';
import { interrupted } from './service-commands.js';

/** `config get|explain|watch KEY`, `config list [PREFIX]`, `config set DOCUMENT TEXT` */
export const configuration: Command = async ([verb, subject, text], options, { config }, io) => {
  switch (verb) {
    case 'get':
      return get(config, needed(subject, 'key'), io);
    case 'explain':
      return explain(config, needed(subject, 'key'), options, io);
    case 'watch':
      return watch(config, needed(subject, 'key'), io);
    case 'list': {
      const ids = await config.list(subject ?? '');
      io.out(
        options.json
          ? `${JSON.stringify(ids)}\n`
          : table(
              ['DOCUMENT'],
              ids.map((id) => [id]),
            ),
      );
      return 0;
    }
    case 'set': {
      const content = needed(text, 'text, or @file');
      const from = content.startsWith('@') ? await readFile(content.slice(1), 'utf8') : content;
      const format = formatOf(options.format);
      const revision = await config.publish(needed(subject, 'document'), from, format === undefined ? {} : { format });
      io.out(`${revision}\n`);
      return 0;
    }
    default:
      throw new UsageError('config what? get, explain, watch, list or set');
  }
};

function get(config: ConfigClient, key: string, io: CommandIo): number {
  const value = config.get(key);
  if (value === undefined) return 1;
  io.out(`${shown(value)}\n`);
  return 0;
}

function explain(config: ConfigClient, key: string, { json }: CommandOptions, io: CommandIo): number {
  const told = config.explain(key);
  if (json) io.out(`${JSON.stringify(told)}\n`);
  else {
    const rows = [
      ...(told.origin === undefined ? [] : [[shown(told.value ?? null), placeOf(told.origin)]]),
      ...told.overrides.map(({ value, origin }) => [shown(value), `${placeOf(origin)} (overridden)`]),
      ...told.keys.map((below) => ['', below]),
    ];
    io.out(table(['VALUE', 'FROM'], rows));
    if (told.unresolved.length > 0) io.err(`without value: ${told.unresolved.join(', ')}\n`);
  }
  return told.origin === undefined && told.keys.length === 0 ? 1 : 0;
}

async function watch(config: ConfigClient, key: string, io: CommandIo): Promise<number> {
  const subscription = config.watch(key).subscribe((value) => {
    io.out(value === undefined ? '\n' : `${shown(value)}\n`);
  });
  await interrupted();
  subscription.unsubscribe();
  return 0;
}

function shown(value: ConfigData): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function placeOf({ kind, backend, name, line }: ConfigOrigin): string {
  const where = [backend, name].filter((part) => part !== undefined).join(' ');
  return `${where === '' ? kind : where}${line === undefined ? '' : `:${line}`}`;
}

const FORMATS: readonly ConfigFormat[] = ['yaml', 'json', 'properties', 'toml', 'text'];

function formatOf(text: string | undefined): ConfigFormat | undefined {
  if (text === undefined) return undefined;
  const format = FORMATS.find((one) => one === text);
  if (format === undefined) throw new UsageError(`--format must be one of ${FORMATS.join(', ')}`);
  return format;
}

function needed(value: string | undefined, what: string): string {
  if (value === undefined) throw new UsageError(`which ${what}?`);
  return value;
}
