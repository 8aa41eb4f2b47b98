import { PeriodicTask, type View, ValueView } from '../../../../backend/index.js';
import { defined, DiscoveryError, messageOf } from '../../../../model/index.js';
import { NacosAuth } from '../auth.js';
import { ConfigItems } from '../config/items.js';
import { warnOfTrust, type Environment } from '../environment.js';
import { isServerFailure, unavailable } from '../errors.js';
import { HttpTransport } from './transport.js';
import type { HttpApi } from './api.js';
import { HttpConfigApi } from './config-api.js';
import { ConfigArchiveApi } from './config-archive-api.js';
import { LongPolls } from './long-polls.js';
import { HttpNamingApi } from './naming-api.js';
import type { NacosClientSettings } from '../options.js';
import type { LinkState } from '../link.js';
import { NacosServers } from '../servers.js';
import { Subscriptions } from '../naming/subscriptions.js';

/** What {@link HttpCore} is told; functions where it may change. */
export interface HttpCoreOptions {
  readonly env: Environment;
  readonly settings: NacosClientSettings;
  readonly proxies: () => Readonly<Partial<Record<'http' | 'https', string>>>;
  readonly requestTimeoutMs: () => number;
  readonly pollMs: number;
  readonly pullingTimeoutMs: () => number;
  readonly pullingConfigSize: () => number;
}

/** Everything over the HTTP API: what the client for users and the drivers have in common. */
export class HttpCore {
  readonly config: HttpConfigApi;
  readonly archive: ConfigArchiveApi;
  readonly naming: HttpNamingApi;
  readonly items: ConfigItems;
  readonly subscriptions: Subscriptions;
  private readonly http: HttpTransport;
  private readonly auth: NacosAuth;
  private readonly servers: NacosServers;
  private readonly polls: LongPolls;
  private readonly checking: PeriodicTask;
  private readonly stateView: ValueView<LinkState>;
  private started = false;
  private closing: Promise<void> | undefined;

  constructor(private readonly options: HttpCoreOptions) {
    const { env, settings } = options;
    warnOfTrust(env, settings.tls);
    this.stateView = new ValueView<LinkState>(Object.freeze({ phase: 'connecting' }), (error) =>
      env.report({ type: 'listener.failed', where: `state of ${env.backend}`, error }),
    );
    this.http = new HttpTransport({
      debug: (line) => env.logger.debug(`${env.backend}: ${line}`),
      clock: env.clock,
      tls: settings.tls,
      proxies: options.proxies,
      // Every answer and every failure says how the servers do.
      onResult: (error) => this.noted(error),
    });
    this.servers = new NacosServers(settings, env, this.http);
    this.auth = new NacosAuth(settings, env, this.http, this.servers.requests);
    const api: HttpApi = {
      env,
      settings: {
        contextPath: settings.contextPath,
        namespaces: settings.namespaces,
        username: settings.username,
        credentials: settings.credentials,
        get requestTimeoutMs() {
          return options.requestTimeoutMs();
        },
      },
      http: this.http,
      auth: this.auth,
      servers: this.servers.requests,
      ready: () => this.servers.ready(),
    };
    this.config = new HttpConfigApi(api);
    this.archive = new ConfigArchiveApi(api);
    this.naming = new HttpNamingApi(api);
    this.items = new ConfigItems(
      env,
      {
        // There is no connection that could be lost.
        epoch: () => 1,
        connected: () => this.started,
        listen: (items, signal) => this.config.changed(items, 0, signal),
        forget: () => Promise.resolve(),
        query: (address, signal) => this.config.query(address, defined({ signal })),
      },
      settings.configRefreshMs,
      () => this.polls.itemsChanged(),
    );
    this.polls = new LongPolls({
      env,
      items: () => this.items.listened(),
      holdMs: options.pullingTimeoutMs,
      itemsPerPoll: options.pullingConfigSize,
      changed: (items, holdMs, signal) => this.config.changed(items, holdMs, signal),
      hint: ({ dataId, group, tenant }) => this.items.hinted(dataId, group, tenant),
    });
    this.subscriptions = new Subscriptions({
      env,
      port: {
        epoch: () => 1,
        connected: () => this.started,
        subscribe: (service, group) =>
          this.naming.list({ service, group }, (record, error) =>
            env.report({ type: 'record.skipped', backend: env.backend, record, error }),
          ),
        unsubscribe: () => Promise.resolve(),
      },
      refreshMs: options.pollMs,
      settleMs: 0,
      emptyPushProtection: settings.emptyPushProtection,
    });
    this.checking = new PeriodicTask({
      clock: env.clock,
      what: `the health check of ${env.backend}`,
      intervalMs: () => settings.healthCheckMs,
      timeoutMs: () => options.requestTimeoutMs() * 2,
      random: () => env.random(),
      run: (signal) => this.check(signal),
      onError: (error) => this.failed(error),
    });
  }

  get state(): View<LinkState> {
    return this.stateView;
  }

  start(): void {
    if (this.started || this.closing !== undefined) return;
    this.started = true;
    this.servers.start();
    this.items.start();
    this.subscriptions.start();
    this.polls.start();
    this.checking.start('now');
  }

  close(): Promise<void> {
    this.closing ??= (async () => {
      this.started = false;
      this.auth.close();
      await Promise.all([
        this.checking.stop(),
        this.servers.close(),
        this.subscriptions.close(),
        this.items.close(),
        this.polls.close(),
      ]);
      await this.http.close();
      this.set({ phase: 'closed' });
      this.stateView.close();
    })();
    return this.closing;
  }

  /** A server that answers anything but its own trouble is alive. */
  private async check(signal: AbortSignal): Promise<void> {
    const { settings, env } = this.options;
    await this.servers.requests.run(async (server) => {
      const answer = await this.http.request({
        method: 'GET',
        url: `${server}${settings.contextPath}/v1/ns/operator/metrics`,
        timeoutMs: this.options.requestTimeoutMs(),
        signal,
      });
      if (answer.status >= 500) {
        throw new DiscoveryError('BACKEND_UNAVAILABLE', `${env.backend} is not ready (${answer.status})`);
      }
    }, signal);
  }

  private noted(error: unknown): void {
    if (error === undefined) this.set({ phase: 'ready' });
    else this.failed(error);
  }

  private failed(error: unknown): void {
    if (this.closing !== undefined || !isServerFailure(error)) return;
    this.options.env.logger.debug(`${this.options.env.backend}: ${messageOf(error)}`);
    const failure = unavailable(`${this.options.env.backend} doesn't answer`, error);
    // One of several servers may be down: that is no outage while another answers.
    if (this.servers.requests.all.length > 1 && failure.attempts === undefined) return;
    this.set({ phase: 'degraded', error: failure });
  }

  private set(state: LinkState): void {
    const { current } = this.stateView;
    if (current.phase === 'closed' || (current.phase === state.phase && state.phase !== 'degraded')) return;
    if (current.phase === state.phase && current.error?.message === state.error?.message) return;
    this.stateView.set(Object.freeze(state));
    if (state.phase === 'ready') this.items.connected();
    else if (state.error !== undefined) this.items.disconnected(state.error);
  }
}
