import { dns, type DnsOptions } from '../../../lib/backends/dns/index.js';
import type { DiscoveryReport } from '../../../lib/backend/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';

/** An open backend, with what it reports. */
export async function open(options: DnsOptions) {
  const events: DiscoveryEvent[] = [];
  const backend = dns({ refreshMs: 50, timeoutMs: 1000, ...options }).create(createContext(events));
  const { discovery } = backend;
  if (discovery === undefined) throw new Error('it has discovery');
  await backend.open();
  return { backend, discovery, events };
}

/** A watch, with what it reported. */
export function watching({ discovery }: Awaited<ReturnType<typeof open>>, service: string) {
  const reports: DiscoveryReport[] = [];
  const watch = discovery.watch(service, (report) => reports.push(report));
  const urls = () => reports.at(-1)?.instances?.map(({ url }) => url);
  return { watch, reports, urls, last: () => reports.at(-1) };
}

/** Puts to an agent's HTTP API. */
export async function put(agent: string, path: string, body: object = {}): Promise<void> {
  const response = await fetch(`${agent}/v1${path}`, { method: 'PUT', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}
