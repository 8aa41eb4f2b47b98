import { DiscoveryError, printable } from '../../model/index.js';
import type { Backend } from '../../backend/index.js';
import type { Command } from './command.js';
import { UsageError } from './command-io.js';
import { reasonFrom, statusFrom } from './status-words.js';

/**
 * `status [UP|OUT_OF_SERVICE REASON] --service NAME --instance ID`, at the registries, by their own means for operators. The
 * status is 0 when it is done, or, where it is only asked for, when the instance is UP.
 */
export const override: Command = async (words, { service, instance, json, timeoutMs }, runtime, io) => {
  if (service === undefined || instance === undefined) {
    throw new UsageError('of which instance? give --service and --instance: ls SERVICE tells their ids');
  }
  const wanted = statusFrom(words);
  if (wanted === undefined) {
    const { instances } = await runtime.discovery.getSnapshot(service);
    const found = instances.find(({ id, host, port }) => id === instance || `${host}:${port}` === instance);
    const status = found?.status ?? 'UNKNOWN';
    io.out(json ? `${JSON.stringify({ service, instance, status })}\n` : `${printable(instance)} is ${status}\n`);
    return status === 'UP' ? 0 : 1;
  }
  const reason = wanted === 'UP' ? undefined : reasonFrom(words);
  const names = new Set(runtime.backends.discoveries.map(({ backend }) => backend));
  const able = runtime.backends.all.filter(({ name }) => names.has(name)).map(overriding);
  const target = { service, instanceId: instance, reason };
  for (const { name, set } of able) {
    await set({ ...target, signal: AbortSignal.timeout(timeoutMs) }, wanted);
    const now = wanted === 'UP' ? 'has its own status again' : 'is OUT_OF_SERVICE';
    io.out(
      json
        ? `${JSON.stringify({ ...target, status: wanted, registry: name })}\n`
        : `${printable(instance)} ${now} at ${name}\n`,
    );
  }
  return 0;
};

/** @throws DiscoveryError `UNSUPPORTED` where the product has no such means: before anything is done at another one */
function overriding({ name, registry }: Backend) {
  const set = registry?.overrideStatus?.bind(registry);
  if (set !== undefined) return { name, set };
  throw new DiscoveryError(
    'UNSUPPORTED',
    `${name} has no status that an operator sets over an instance's own: speak to the app itself, by --operator`,
    { backend: name },
  );
}
