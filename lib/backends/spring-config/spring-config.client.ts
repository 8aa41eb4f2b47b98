import { urlToHttpOptions } from 'node:url';
import {
  conceal,
  HttpClient,
  ServerList,
  type BackendContext,
  type ConfigDocument,
  type HttpAnswer,
} from '../../backend/index.js';
import { codeOf, DiscoveryError, messageOf, type ServiceInstance } from '../../model/index.js';
import { pathOf, readEnvironment, readFile, type Environment } from './spring-config.codec.js';
import type { ServerUrl, SpringConfigSettings } from './spring-config.options.js';

/** Failures after which another server is asked. */
const SERVER_FAILURES: ReadonlySet<string> = new Set(['BACKEND_UNAVAILABLE', 'TIMEOUT']);

/** Whose configuration is asked for. */
export interface Asked {
  readonly application: string;
  readonly profiles: readonly string[];
}

/** Asks the servers: one request at a time, the next server when one fails. */
export class SpringConfigClient {
  private readonly http: HttpClient;
  private readonly servers: ServerList;
  private readonly authorizations = new Map<string, string | undefined>();

  constructor(
    private readonly settings: SpringConfigSettings,
    private readonly context: BackendContext,
  ) {
    const { name, servers, tls, maxResponseBytes: maxBytes } = settings;
    const { clock } = context;
    this.http = new HttpClient({ clock, client: 'the config client', tls, maxBytes });
    for (const { base, authorization } of servers) this.authorizations.set(base, authorization);
    this.servers = new ServerList({
      clock,
      backend: name,
      servers: servers.map(({ base }) => base),
      isServerFailure: (error) => SERVER_FAILURES.has(codeOf(error) ?? ''),
    });
  }

  /**
   * The documents of an application.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`; `BACKEND_REFUSED` when it isn't let in, or the server has nothing of the kind
   */
  async environment({ application, profiles }: Asked, signal: AbortSignal): Promise<Environment> {
    const found = await this.first(
      (label) => pathOf(application, profiles, label),
      'application/json',
      signal,
      ({ body }, what) => readEnvironment(body, what),
    );
    if (found !== undefined) return found;
    const { name: backend, labels } = this.settings;
    const of = `${application}, profiles ${profiles.join(', ') || 'default'}, label ${labels.join(', ') || 'default'}`;
    throw new DiscoveryError('BACKEND_REFUSED', `${backend} has no configuration of ${of} (404)`, { backend });
  }

  /** A file, or undefined when there is none. @throws DiscoveryError as {@link environment} */
  file({ application, profiles }: Asked, id: string, signal: AbortSignal): Promise<ConfigDocument | undefined> {
    return this.first(
      (label) => pathOf(application, profiles, label, id),
      'text/plain',
      signal,
      ({ body }) => readFile(id, body),
    );
  }

  close(): Promise<void> {
    return this.http.close();
  }

  /** What is found under the first label that has it. */
  private async first<T>(
    path: (label: string | undefined) => string,
    accept: string,
    signal: AbortSignal,
    read: (answer: HttpAnswer, what: string) => T,
  ): Promise<T | undefined> {
    await this.lookUp();
    const { labels } = this.settings;
    for (const label of labels.length === 0 ? [undefined] : labels) {
      const found = await this.servers.run((server) => this.ask(server, path(label), accept, signal, read), signal);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private async ask<T>(
    server: string,
    path: string,
    accept: string,
    signal: AbortSignal,
    read: (answer: HttpAnswer, what: string) => T,
  ): Promise<T | undefined> {
    const { headers, requestTimeoutMs: timeoutMs, name: backend } = this.settings;
    const authorization = this.authorizations.get(server);
    const url = `${server}${path}`;
    const what = `GET ${url.replace(/\?.*$/, '')}`;
    let answer: HttpAnswer;
    try {
      answer = await this.http.send({
        method: 'GET',
        target: urlToHttpOptions(new URL(url)),
        headers: { accept, ...(authorization === undefined ? {} : { authorization }), ...headers },
        timeoutMs,
        signal,
        what,
      });
    } catch (cause) {
      if (cause instanceof DiscoveryError) throw cause;
      throw new DiscoveryError('BACKEND_UNAVAILABLE', `${what} failed: ${messageOf(cause)}`, { backend, cause });
    }
    const { status } = answer;
    if (status === 200) return read(answer, what);
    if (status === 404) return undefined;
    const again = status >= 500 || status === 408 || status === 429;
    const advice = status === 401 || status === 403 ? ': give username and password, or other ones' : '';
    throw new DiscoveryError(
      again ? 'BACKEND_UNAVAILABLE' : 'BACKEND_REFUSED',
      `${what} was answered with the status ${status}${advice}`,
      { backend },
    );
  }

  /** Finds those that are named as a service. When that can't be done the ones that are known stay. */
  private async lookUp(): Promise<void> {
    const { servers } = this.settings;
    if (servers.every(({ service }) => service === undefined)) return;
    const found = await Promise.all(servers.map((server) => this.addressesOf(server)));
    for (const [at, bases] of found.entries()) {
      for (const base of bases) this.authorizations.set(base, servers[at]?.authorization);
    }
    for (const known of this.authorizations.keys())
      if (!found.flat().includes(known)) this.authorizations.delete(known);
    this.servers.update(found.flat());
  }

  private async addressesOf({ base, service }: ServerUrl): Promise<readonly string[]> {
    if (service === undefined) return [base];
    const { instances } = this.context;
    const { name: backend } = this.settings;
    if (instances === undefined) {
      throw new DiscoveryError('UNSUPPORTED', `${base} can't be found: nothing is discovered here`, {
        backend,
        field: 'url',
      });
    }
    let list: readonly ServiceInstance[];
    try {
      list = await instances(service.name);
    } catch (cause) {
      const problem = `${base} can't be found: ${messageOf(cause)}`;
      throw new DiscoveryError('BACKEND_UNAVAILABLE', problem, { backend, cause });
    }
    if (list.length === 0) {
      throw new DiscoveryError('BACKEND_UNAVAILABLE', `${base} has no instance that may be called`, { backend });
    }
    return list.map(({ url, metadata }) => {
      const own = `/${metadata['configPath'] ?? ''}`.replace(/\/+/g, '/').replace(/\/$/, '');
      return `${url}${own}${service.path}`;
    });
  }
}

// It knows credentials.
conceal(SpringConfigClient.prototype);
