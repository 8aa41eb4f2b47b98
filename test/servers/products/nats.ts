import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, lookUp } from '../cache.js';
import { makeCertificates } from '../certificates.js';
import { run, which } from '../exec.js';
import { freePorts } from '../free-port.js';
import { whileShowing } from '../progress.js';
import { startServer, temporaryFolder } from '../running-server.js';
import { hasApt, unpackDebianPackages } from '../toolchains/apt.js';
import { provideGo } from '../toolchains/go-toolchain.js';
import { goInstall } from '../toolchains/go.js';
import type { RunningServer, Settings, TlsFiles } from '../types.js';
import { versions } from '../versions.js';
import { httpGet } from '../wait.js';
import { askNatsInfo } from '../wire.js';
import { type Attached, type Product, type StartOptions } from './product.js';

const goModule = 'github.com/nats-io/nats-server/v2';

interface Program {
  readonly path: string;
  readonly source: string;
}

/** The program of the machine, if it has the release that is wanted. */
async function onThisMachine(fits: (version: string) => boolean): Promise<Program | undefined> {
  const path = await which('nats-server');
  if (!path) return undefined;
  const version = /v(\d+\.\d+\.\d+)/.exec(await run(path, ['--version']).catch(() => ''))?.[1];
  return version && fits(version) ? { path, source: `this machine (${path})` } : undefined;
}

async function builtWithGo(version: string): Promise<Program> {
  const folder = await cached(`nats-${version}-${process.platform}-${process.arch}`, async (target) => {
    const provided = await provideGo();
    if ('reason' in provided) throw new Error(provided.reason);
    await whileShowing(`building nats-server ${version}`, goInstall(provided.go, goModule, version, target));
  });
  return { path: join(folder, 'nats-server'), source: `Go module ${version}` };
}

async function debianRelease(): Promise<Program> {
  const { upstream, goModule: asModule } = versions.nats.debian;
  const here = await onThisMachine((version) => version === upstream);
  if (here) return here;
  const key = `nats-debian-${upstream}-${process.arch}`;
  if (!(await lookUp(key)) && !(await hasApt())) return builtWithGo(asModule);
  const folder = await cached(key, (target) =>
    whileShowing(`unpacking Debian's nats-server`, unpackDebianPackages(['nats-server'], target)),
  );
  return { path: join(folder, 'usr', 'sbin', 'nats-server'), source: `Debian package ${upstream}` };
}

async function currentRelease(): Promise<Program> {
  const wanted = versions.nats.current;
  return (await onThisMachine((version) => `v${version}` === wanted)) ?? builtWithGo(wanted);
}

function programFor(variant: string): Promise<Program> {
  return variant === '2.9' ? debianRelease() : currentRelease();
}

function configuration(
  ports: { client: number; monitor: number },
  data: string,
  extra: string,
  settings: Settings,
): string {
  const lines = Object.entries(settings).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return [
    `listen: "127.0.0.1:${ports.client}"`,
    `http: "127.0.0.1:${ports.monitor}"`,
    `jetstream { store_dir: ${JSON.stringify(data)} }`,
    extra,
    ...lines,
    '',
  ].join('\n');
}

async function start({ variant, settings = {}, guard }: StartOptions): Promise<RunningServer> {
  const program = await programFor(variant);
  const folder = await temporaryFolder(guard, `nats-${variant}`);
  const ports = await freePorts('client', 'monitor');
  const config = join(folder, 'nats.conf');
  const monitor = `http://127.0.0.1:${ports.monitor}`;
  let tls: TlsFiles | undefined;
  if (variant === 'tls') {
    await mkdir(join(folder, 'tls'));
    tls = await makeCertificates(join(folder, 'tls'));
  }
  const token = variant === 'token' ? 'test-token' : undefined;
  const extra = [
    token === undefined ? '' : `authorization { token: "${token}" }`,
    tls ? `tls { cert_file: "${tls.certFile}", key_file: "${tls.keyFile}", ca_file: "${tls.caFile}" }` : '',
  ].join('\n');
  return startServer(guard, folder, {
    facts: {
      product: 'nats',
      variant,
      source: program.source,
      ...(token === undefined ? {} : { token }),
      ...(tls ? { tls } : {}),
    },
    version: async () => (JSON.parse((await httpGet(`${monitor}/varz`)).text) as { version: string }).version,
    nodes: [
      {
        name: 'nats',
        ports,
        url: `${tls ? 'tls' : 'nats'}://127.0.0.1:${ports.client}`,
        command: program.path,
        args: ['-c', config],
        folder,
        durable: true,
        timeoutMs: 30_000,
        prepare: (data) => writeFile(config, configuration(ports, data, extra, settings)),
        ready: async () => (await httpGet(`${monitor}/healthz`)).status === 200,
      },
    ],
  });
}

async function attach(address: string): Promise<Attached> {
  const urls = address.split(',').map((url) => url.trim());
  const { hostname, port } = new URL(urls[0] ?? '');
  return { version: (await askNatsInfo(hostname, Number(port || 4222))).version, urls };
}

/** NATS with JetStream: Debian's release, a current one, one that wants a token, one that speaks TLS. */
export const nats: Product = {
  name: 'nats',
  variable: 'NATS_URL',
  provision: async (variant) => ({ available: true, source: (await programFor(variant)).source }),
  start,
  attach,
};
