import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import Peer from 'consul';
import { consul, ConsulClient } from '../../lib/backends/consul/index.js';
import { createContext } from '../contract/contract-harness.js';
import { ServerPool } from '../servers/pool.js';
import { median, round } from './statistics.js';

const ROUNDS = 60;

/**
 * Time from a registration at the agent to the event of a subscriber, beside the watch of the npm package `consul` on the
 * same service, in the same process and the same rounds.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const pool = new ServerPool();
  try {
    const acquired = await pool.start('consul', 'dev');
    if (!acquired.available) throw new Error(`no Consul: ${acquired.reason}`);
    const result = await measure(acquired.server.url);
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    say(`from a registration to the subscriber's event, median of ${ROUNDS} rounds`);
    say(`  ours ${result.eventMs} ms   consul ${result.eventPeerMs} ms   (${result.eventVsPeer} times)`);
    if (json) say(JSON.stringify(result));
  } finally {
    await pool.end();
  }
}

async function measure(url: string) {
  const { hostname, port } = new URL(url);
  const writer = new ConsulClient(url);
  const peer = new Peer({ host: hostname, port: Number(port) });
  const backend = consul({ address: url }).create(createContext([]));
  await backend.open();
  const times = { ours: [] as number[], peer: [] as number[] };
  try {
    // The first rounds warm both up.
    for (let at = -5; at < ROUNDS; at += 1) {
      const service = `bench-${at + 5}`;
      const both = await oneRound(backend, peer, writer, service, at % 2 === 0);
      if (at < 0) continue;
      times.ours.push(both.ours);
      times.peer.push(both.peer);
    }
  } finally {
    await backend.close();
    await writer.close();
  }
  const [ours, theirs] = [median(times.ours), median(times.peer)];
  return {
    rounds: ROUNDS,
    eventMs: round(ours, 2),
    eventPeerMs: round(theirs, 2),
    eventVsPeer: round(ours / theirs, 2),
  };
}

async function oneRound(
  backend: ReturnType<ReturnType<typeof consul>['create']>,
  peer: Peer,
  writer: ConsulClient,
  service: string,
  oursFirst: boolean,
): Promise<{ readonly ours: number; readonly peer: number }> {
  const seen = { ours: NaN, peer: NaN };
  const ready = { ours: false, peer: false };
  const openOurs = () =>
    backend.discovery?.watch(service, ({ instances }) => {
      ready.ours ||= instances !== undefined;
      if (instances?.length === 1 && Number.isNaN(seen.ours)) seen.ours = performance.now();
    });
  // In turn: who asks first is answered first, and the other waits while that answer is read.
  let watch = oursFirst ? openOurs() : undefined;
  if (oursFirst) while (!ready.ours) await delay(1);
  const peerWatch = peer.watch({
    method: (peer.health as unknown as { service: () => unknown }).service,
    options: { service, passing: true } as never,
  });
  peerWatch.on('change', (entries: readonly unknown[]) => {
    ready.peer = true;
    if (entries.length === 1 && Number.isNaN(seen.peer)) seen.peer = performance.now();
  });
  if (!oursFirst) while (!ready.peer) await delay(1);
  watch ??= openOurs();
  while (!ready.ours || !ready.peer) await delay(1);
  // Both have their first answer and now ask for the next one.
  await delay(30);
  const began = performance.now();
  await writer.services.register({
    Name: service,
    Address: '127.0.0.1',
    Port: 8080,
    Check: { TTL: '10m', Status: 'passing' },
  });
  while (Number.isNaN(seen.ours) || Number.isNaN(seen.peer)) await delay(1);
  await watch?.close();
  const ended = once(peerWatch, 'end');
  peerWatch.end();
  await ended;
  await writer.services.deregister(service);
  return { ours: seen.ours - began, peer: seen.peer - began };
}
