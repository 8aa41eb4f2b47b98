import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chooseAddress, until } from '../../backend/machinery/index.js';
import { messageOf } from '../../model/index.js';
import type { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import type { Command } from './command.js';
import { coloured, table, type CommandIo } from './command-io.js';

/** What was looked at, and what was found. */
interface Finding {
  readonly what: string;
  readonly is: 'good' | 'doubtful' | 'bad';
  readonly says: string;
}

/** `doctor`: status 1 when something is bad */
export const doctor: Command = async (_, { json }, runtime, io) => {
  const findings = [
    ...versions(),
    address(),
    ...(await backends(runtime)),
    ...(await services(runtime)),
    ...configuration(runtime),
  ];
  if (json) io.out(`${JSON.stringify(findings)}\n`);
  else io.out(report(io, findings));
  return findings.some(({ is }) => is === 'bad') ? 1 : 0;
};

function report(io: CommandIo, findings: readonly Finding[]): string {
  const lines = table(
    [' ', 'WHAT', 'FOUND'],
    findings.map(({ what, says }) => [' ', what, says]),
  ).split('\n');
  const mark = {
    good: coloured(io, 'green', '+'),
    doubtful: coloured(io, 'yellow', '?'),
    bad: coloured(io, 'red', '!'),
  };
  return lines
    .map((line, at) => (at === 0 || line === '' ? line : `${mark[findings[at - 1]?.is ?? 'good']}${line.slice(1)}`))
    .join('\n');
}

function versions(): readonly Finding[] {
  const require = createRequire(join(process.cwd(), 'package.json'));
  const versionOf = (name: string): string | undefined => {
    try {
      return (require(`${name}/package.json`) as { readonly version: string }).version;
    } catch {
      return undefined;
    }
  };
  const nest = versionOf('@nestjs/core');
  const axios = versionOf('axios');
  return [
    { what: 'Node', is: 'good', says: process.version },
    { what: 'Nest', is: /^1[12]\./.test(nest ?? '12.') ? 'good' : 'bad', says: nest ?? 'not found from this folder' },
    {
      what: 'axios',
      is: axios === undefined ? 'doubtful' : 'good',
      says: axios ?? 'not found from this folder: npm install axios',
    },
  ];
}

function address(): Finding {
  const what = 'own address';
  try {
    const { host, ip } = chooseAddress({});
    const says = `${host} (${ip ?? 'no IP'}): what an app on this machine registers as, unless service.host, .ip or .networks say another`;
    return { what, is: 'good', says };
  } catch (error) {
    return { what, is: 'bad', says: messageOf(error) };
  }
}

async function backends({ backends: all, options }: DiscoveryRuntime): Promise<readonly Finding[]> {
  return Promise.all(
    all.all.map(async ({ name, state }): Promise<Finding> => {
      const what = `backend ${name}`;
      const settled = await until(state, ({ phase }) => phase !== 'connecting', {
        clock: options.clock,
        timeoutMs: options.firstSnapshotTimeoutMs,
      });
      const { phase, error } = state.current;
      if (phase === 'ready') return { what, is: 'good', says: 'answers' };
      const why = error?.message ?? (settled ? phase : `no answer within ${options.firstSnapshotTimeoutMs} ms`);
      return { what, is: 'bad', says: why };
    }),
  );
}

async function services({ discovery }: DiscoveryRuntime): Promise<readonly Finding[]> {
  const what = 'services';
  let names: readonly string[];
  try {
    names = await discovery.getServices();
  } catch (error) {
    return [{ what, is: 'bad', says: messageOf(error) }];
  }
  if (names.length === 0) {
    return [{ what, is: 'doubtful', says: 'none: nothing is registered, or this identity may not read what is' }];
  }
  const found: Finding[] = [{ what, is: 'good', says: `${names.length}: ${names.slice(0, 10).join(', ')}` }];
  for (const name of names.slice(0, 100)) {
    const { instances } = await discovery.getSnapshot(name);
    const ids = new Set(instances.map(({ id }) => id));
    if (ids.size < instances.length) {
      found.push({
        what: `service ${name}`,
        is: 'doubtful',
        says: 'several instances have one id: the later overwrites the earlier in some registries',
      });
    }
    if (instances.length > 0 && instances.every(({ status }) => status !== 'UP')) {
      found.push({ what: `service ${name}`, is: 'doubtful', says: `none of ${instances.length} is UP` });
    }
  }
  return found;
}

function configuration({ configStore, config }: DiscoveryRuntime): readonly Finding[] {
  const problems = configStore.problems.map(({ error }): Finding => ({
    what: 'configuration',
    is: 'bad',
    says: error.message,
  }));
  return problems.length > 0 ? problems : [{ what: 'configuration', is: 'good', says: `${config.keys.length} keys` }];
}
