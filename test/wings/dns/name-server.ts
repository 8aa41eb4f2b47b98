import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { freePorts } from '../../servers/free-port.js';

/** What a name has. */
export interface Zone {
  readonly srv?: readonly {
    readonly priority: number;
    readonly weight: number;
    readonly port: number;
    readonly target: string;
  }[];
  readonly a?: readonly string[];
  /** Of the address records, in seconds. @default 0 */
  readonly ttl?: number;
  /** 2 is SERVFAIL, 5 REFUSED. */
  readonly refusal?: number;
}

const [A, SRV] = [1, 33];
const TRUNCATED = 0x0200;
/** A pointer to the question's name. */
const OWNER = Buffer.from([0xc0, 12]);

const u16 = (...values: number[]): Buffer => Buffer.from(values.flatMap((value) => [value >> 8, value & 255]));
const nameBytes = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ]);

function answerTo(query: Buffer, zones: ReadonlyMap<string, Zone>, asked: string[]): { answer: Buffer; short: Buffer } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const [name, type] = [labels.join('.'), query.readUInt16BE(at + 1)];
  asked.push(`${type === SRV ? 'SRV' : type === A ? 'A' : 'AAAA'} ${name}`);
  const zone = zones.get(name);
  const record = (data: Buffer, ttl: number): Buffer => Buffer.concat([OWNER, u16(type, 1, 0, ttl, data.length), data]);
  const srv = (zone?.srv ?? []).map((one) =>
    record(Buffer.concat([u16(one.priority, one.weight, one.port), nameBytes(one.target)]), 0),
  );
  const a = (zone?.a ?? []).map((address) => record(Buffer.from(address.split('.').map(Number)), zone?.ttl ?? 0));
  const records = type === SRV ? srv : type === A ? a : [];
  const code = zone === undefined ? 3 : (zone.refusal ?? 0);
  const message = (flags: number, list: readonly Buffer[]): Buffer =>
    Buffer.concat([
      query.subarray(0, 2),
      u16(0x8180 | code | flags, 1, list.length, 0, 0),
      query.subarray(12, at + 5),
      ...list,
    ]);
  return { answer: message(0, records), short: message(TRUNCATED, []) };
}

/** A name server for what Consul's can't say: priorities, TTLs, refusals. Too long for a datagram, it says so. */
export async function nameServer(zones: Map<string, Zone>) {
  const asked: string[] = [];
  let overTcp = 0;
  const tcp = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      overTcp += 1;
      const { answer } = answerTo(data.subarray(2), zones, asked);
      socket.write(Buffer.concat([u16(answer.length), answer]));
    });
  });
  const { dns: free } = await freePorts('dns');
  await once(tcp.listen(free, '127.0.0.1'), 'listening');
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket('udp4', (query, { port: from }) => {
    const { answer, short } = answerTo(query, zones, asked);
    udp.send(answer.length > 1232 ? short : answer, from, '127.0.0.1');
  });
  await once(udp.bind(port, '127.0.0.1'), 'listening');
  const close = async (): Promise<void> => {
    udp.close();
    tcp.close();
  };
  return { address: `127.0.0.1:${port}`, asked, overTcp: () => overTcp, close };
}
