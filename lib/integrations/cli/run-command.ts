import { parseArgs } from 'node:util';
import { Logger } from '@nestjs/common';
import { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import type { DiscoveryModuleOptions } from '../../nest/index.js';
import { resolveOptions } from '../../nest/resolve-options.js';
import { messageOf, printable } from '../../model/index.js';
import { backendOf, BACKEND_URLS } from './backend-url.js';
import { call } from './call-command.js';
import type { Command, CommandOptions } from './command.js';
import { coloured, UsageError, type CommandIo } from './command-io.js';
import { configuration } from './config-command.js';
import { doctor } from './doctor-command.js';
import { isOptionsFile, optionsFile, readOnly } from './options-file.js';
import { override } from './override-command.js';
import { list, watch } from './service-commands.js';
import { status } from './status-command.js';

const COMMANDS: Readonly<Record<string, { readonly run: Command; readonly usesConfig: boolean }>> = {
  ls: { run: list, usesConfig: false },
  watch: { run: watch, usesConfig: false },
  call: { run: call, usesConfig: false },
  config: { run: configuration, usesConfig: true },
  doctor: { run: doctor, usesConfig: true },
  status: { run: override, usesConfig: false },
};

const USAGE = `Usage: nestjs-service-discovery <command> --registry <address> [options]

  ls [SERVICE]                        the services, or the instances of one
  watch SERVICE                       its instances, and each change
  call SERVICE METHOD /path           calls it, balanced; --data, --header 'name: value'
  config get|explain|watch KEY        a value, why it is so, each change; --application, --profile
  config list [PREFIX]                the documents
  config set DOCUMENT TEXT            writes a document; --format
  status [UP|OUT_OF_SERVICE REASON]   whether an app takes traffic; takes it out and back: --operator, --header,
                                      or at its registry: --service, --instance
  doctor                              what may be wrong

  --registry ADDRESS    or $DISCOVERY_URL; @default local:
  --config ADDRESS      where configuration lies @default the registry's
  --config FILE         an app's options: a module that exports them, or JSON
  --operator URL        an app's operator endpoints, or $DISCOVERY_OPERATOR: http://127.0.0.1:3000/discovery
  --service, --instance whose status is set at the registry: Eureka, Consul, Nacos
  --json                for scripts
  --timeout MS          how long an answer may take @default 5000
  --verbose             what is logged, on stderr

Addresses: ${BACKEND_URLS.join('\n           ')}

Exit status: 0 done, 1 failed or not found, 2 not understood.
`;

/** Runs one command line. Never rejects: what fails is a line on stderr, and a status. */
export async function runCommand(args: readonly string[], io: CommandIo): Promise<number> {
  try {
    return await run(args, io);
  } catch (error) {
    const hint = error instanceof UsageError ? '' : ` [${(error as { readonly code?: string }).code ?? 'ERROR'}]`;
    const lines = messageOf(error).split('\n').map(printable).join('\n');
    io.err(`${coloured(io, 'red', 'error')}${hint}: ${lines}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parsed(args);
  const [name, ...words] = positionals;
  if (values.help === true || name === undefined) {
    io.out(USAGE);
    return name === undefined && values.help !== true ? 2 : 0;
  }
  if (name === 'status' && values.service === undefined && values.instance === undefined)
    return status(words, optionsOf(values), io);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    throw new UsageError(`'${name}' is no command: ${Object.keys(COMMANDS).join(', ')}`);
  }
  const timeoutMs = timeoutOf(values);
  // The app's log is not the command's output.
  Logger.overrideLogger(values.verbose === true ? new StderrLogger(io) : false);
  const runtime = await DiscoveryRuntime.start(
    resolveOptions(await moduleOptions(name, values, io, command.usesConfig, timeoutMs), {
      ...process.env,
      NODE_ENV: 'development',
      DISCOVERY_OVERRIDES: '',
      SERVICE_NAME: values.application ?? 'application',
    }),
  );
  try {
    return await command.run(words, optionsOf(values), runtime, io);
  } finally {
    await runtime.close();
  }
}

/** What the command works with: an app's own options, or those that were typed. It registers nothing in any case. */
async function moduleOptions(
  name: string,
  values: Values,
  io: CommandIo,
  usesConfig: boolean,
  timeoutMs: number,
): Promise<DiscoveryModuleOptions> {
  const fromFile = isOptionsFile(values.config) ? await optionsFile(values.config) : undefined;
  const given = values.registry ?? (fromFile === undefined ? (io.env['DISCOVERY_URL'] ?? 'local:') : undefined);
  const registry = given === undefined ? undefined : await backendOf(given);
  const common = {
    ...(values.profile === undefined ? {} : { profiles: values.profile }),
    ...(values.application === undefined ? {} : { service: { name: values.application } }),
    registration: 'manual',
    discovery: { ...fromFile?.discovery, firstSnapshotTimeoutMs: timeoutMs, emptyProtectionMs: false },
    configOptions: {
      ...fromFile?.configOptions,
      optional: true,
      loadTimeoutMs: timeoutMs,
      commandLine: false,
      environment: false,
    },
  } as const;
  if (fromFile !== undefined) {
    const { registry: own, config, ...rest } = fromFile;
    return {
      ...rest,
      ...(registry === undefined ? readOnly(own) : { registry: { backend: registry, register: false } }),
      ...(usesConfig ? (config === undefined ? {} : { config }) : { config: [] }),
      ...common,
    };
  }
  if (registry === undefined) throw new UsageError('which registry? give --registry');
  // Eureka and DNS have none of their own.
  const hasConfig = values.config !== undefined || !['eureka', 'dns'].includes(registry.kind);
  const config = values.config === undefined ? registry : await backendOf(values.config);
  if (name === 'config' && !hasConfig) throw new UsageError(`${registry.kind} has no configuration: give --config`);
  return { registry: { backend: registry, register: false }, config: usesConfig && hasConfig ? config : [], ...common };
}

function timeoutOf({ timeout }: Values): number {
  const timeoutMs = Number(timeout ?? 5000);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1) throw new UsageError('--timeout must be a time in milliseconds');
  return timeoutMs;
}

type Values = ReturnType<typeof parsed>['values'];

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        registry: { type: 'string', short: 'r' },
        config: { type: 'string' },
        operator: { type: 'string' },
        service: { type: 'string' },
        instance: { type: 'string' },
        application: { type: 'string', short: 'a' },
        profile: { type: 'string', multiple: true },
        header: { type: 'string', short: 'H', multiple: true },
        data: { type: 'string', short: 'd' },
        format: { type: 'string' },
        timeout: { type: 'string' },
        json: { type: 'boolean' },
        verbose: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function optionsOf(values: Values): CommandOptions {
  const { json = false, header = [], data, application, format, operator, service, instance } = values;
  return { json, header, data, application, format, operator, service, instance, timeoutMs: timeoutOf(values) };
}

/** Writes what the app logs beside the command's output. */
class StderrLogger {
  constructor(private readonly io: CommandIo) {}
  readonly log = (message: unknown): void => this.write(message);
  readonly warn = (message: unknown): void => this.write(message);
  readonly error = (message: unknown): void => this.write(message);
  readonly debug = (message: unknown): void => this.write(message);

  private write(message: unknown): void {
    this.io.err(`${printable(String(message))}\n`);
  }
}
