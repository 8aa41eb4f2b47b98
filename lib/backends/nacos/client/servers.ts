import { PeriodicTask, ServerList, TroubleLog } from '../../../backend/index.js';
import { authority, DiscoveryError } from '../../../model/index.js';
import { baseUrl, parseServerAddress, parseServerListText } from './addresses.js';
import type { Environment } from './environment.js';
import { isServerFailure } from './errors.js';
import type { HttpTransport } from './http/transport.js';
import type { NacosClientSettings } from './options.js';

/** The servers of a client: those that were given, or those that an address endpoint names, asked again in time. */
export class NacosServers {
  /** For gRPC connections; HTTP requests have a list of their own, since the one may work where the other doesn't. */
  readonly connections: ServerList;
  readonly requests: ServerList;
  private readonly refreshing: PeriodicTask | undefined;
  /** Told when the list has changed. */
  onChanged: () => void = () => {};

  constructor(
    private readonly settings: NacosClientSettings,
    private readonly env: Environment,
    private readonly http: HttpTransport,
  ) {
    const servers = shuffled(settings.servers.map(baseUrl), env.random);
    const list = (): ServerList =>
      new ServerList({
        clock: env.clock,
        backend: env.backend,
        servers,
        isServerFailure,
        random: () => env.random(),
      });
    this.connections = list();
    this.requests = list();
    const { endpoint } = settings;
    if (endpoint !== undefined) {
      const troubles = new TroubleLog(env.logger, env.clock, env.backend);
      const what = 'the address endpoint';
      this.refreshing = new PeriodicTask({
        clock: env.clock,
        what: 'asking the address endpoint',
        intervalMs: () => endpoint.refreshMs,
        retry: { initialMs: Math.min(1000, endpoint.refreshMs), maxMs: Math.min(10_000, endpoint.refreshMs) },
        timeoutMs: () => settings.requestTimeoutMs,
        random: () => env.random(),
        run: async (signal) => {
          await this.refresh(endpoint.url, signal);
          troubles.works(what);
        },
        onError: (error) =>
          troubles.failed(what, error, 'the servers that it named are used on, and it is asked again'),
      });
    }
  }

  /** Begins to ask the endpoint, if there is one. */
  start(): void {
    this.refreshing?.start('now');
  }

  /** Begins, and waits for the endpoint's first answer when nothing else names a server. Never rejects. */
  async ready(): Promise<void> {
    this.start();
    if (this.requests.all.length === 0) await this.refreshing?.trigger().catch(() => {});
  }

  async close(): Promise<void> {
    await this.refreshing?.stop();
  }

  /**
   * The known server that `ConnectResetRequest` names, if it is one of ours. The host decides; of several servers on it
   * the one with that port.
   */
  find(host: string, port: number | undefined): string | undefined {
    const there = this.connections.all.filter((server) => parseServerAddress(server, 'server').host === host);
    return there.find((server) => parseServerAddress(server, 'server').port === port) ?? there[0];
  }

  /** `host:port` of a server's gRPC port. */
  grpcTarget(server: string): string {
    const { host, port } = parseServerAddress(server, 'server');
    return authority(host, port + this.settings.grpc.portOffset);
  }

  private async refresh(url: string, signal: AbortSignal): Promise<void> {
    const { namespaces, requestTimeoutMs } = this.settings;
    const target = new URL(url);
    if (namespaces.config !== '') target.searchParams.set('namespace', namespaces.config);
    const answer = await this.http.request({ method: 'GET', url: target.href, timeoutMs: requestTimeoutMs, signal });
    const servers = answer.status === 200 ? parseServerListText(answer.text).map(baseUrl) : [];
    if (servers.length === 0) {
      // An endpoint that lost its data must not take the servers away that work.
      throw new DiscoveryError('BACKEND_UNAVAILABLE', `it named no server (status ${answer.status})`);
    }
    const known = new Set(this.connections.all);
    if (servers.length === known.size && servers.every((server) => known.has(server))) return;
    const mixed = shuffled(servers, this.env.random);
    this.connections.update(mixed);
    this.requests.update(mixed);
    this.onChanged();
  }
}

/** In random order: a thousand clients must not all begin with the first server. */
function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const all = [...items];
  for (let index = all.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    const [one, two] = [all[index], all[other]];
    if (one === undefined || two === undefined) continue;
    all[index] = two;
    all[other] = one;
  }
  return all;
}
