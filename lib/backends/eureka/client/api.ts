import { withoutSecrets, withoutSecretUrls } from '../../../backend/index.js';
import {
  describe,
  DiscoveryError,
  messageOf,
  printable,
  type Attempt,
  type InstanceStatus,
} from '../../../model/index.js';
import {
  decodeApplication,
  decodeApplications,
  decodeInstance,
  decodeSingleInstance,
  encodeInstance,
  type DecodedApplications,
  type OutgoingInstance,
} from '../eureka.codec.js';
import type { EurekaInstance } from '../eureka.instance.js';
import { HttpStatusError, type EurekaHttpClient, type EurekaHttpResponse } from './http-client.js';
import type { EurekaServers } from './servers.js';
import type { Endpoint } from './service-urls.js';

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** Statuses besides 2xx that are the server's answer. */
  readonly answers?: readonly number[];
}

/**
 * Eureka's operations, one method each. Every one goes to the server in use, and within the call to the next ones when
 * that fails.
 *
 * All throw DiscoveryError `BACKEND_UNAVAILABLE` when no server answered, `BACKEND_REFUSED` when it said no, and
 * `ABORTED` with the signal.
 */
export class EurekaApi {
  constructor(
    private readonly backend: string,
    private readonly servers: EurekaServers,
    private readonly http: EurekaHttpClient,
    /** Hears of everything that goes over the wire, without secrets. */
    private readonly debug: (line: string) => void = () => {},
  ) {}

  /** Registers, or replaces what is registered under the same id. */
  async register(instance: OutgoingInstance, signal?: AbortSignal): Promise<void> {
    const response = await this.call(
      { method: 'POST', path: ['apps', instance.app.toUpperCase()], body: encodeInstance(instance), answers: [400] },
      signal,
    );
    if (response.status === 400) {
      throw new DiscoveryError(
        'BACKEND_REFUSED',
        `${this.backend} refused the registration of ${instance.instanceId}: ${describe(response.bodyText)}`,
        { backend: this.backend, service: instance.app },
      );
    }
  }

  /** Confirms a lease; false when the server doesn't have it, or not in this version: register again. */
  async heartbeat(
    app: string,
    instanceId: string,
    status: InstanceStatus,
    lastDirtyTimestamp: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const query = { status, lastDirtyTimestamp: String(lastDirtyTimestamp) };
    const call = { method: 'PUT', path: instancePath(app, instanceId), query, answers: [404] } as const;
    return (await this.call(call, signal)).status !== 404;
  }

  /** Takes an instance out; false when the server doesn't have it. */
  async cancel(app: string, instanceId: string, signal?: AbortSignal): Promise<boolean> {
    const call = { method: 'DELETE', path: instancePath(app, instanceId), answers: [404] } as const;
    return (await this.call(call, signal)).status !== 404;
  }

  /**
   * Sets a status that overrides what the instance itself says, until {@link deleteStatusOverride}; false when the server
   * doesn't have the instance.
   */
  async statusUpdate(app: string, instanceId: string, status: InstanceStatus, signal?: AbortSignal): Promise<boolean> {
    const path = [...instancePath(app, instanceId), 'status'];
    return (await this.call({ method: 'PUT', path, query: { value: status }, answers: [404] }, signal)).status !== 404;
  }

  /**
   * Ends an override; false when the server doesn't have the instance.
   *
   * @param status the instance's own, when it is known; else it follows with the next heartbeat
   */
  async deleteStatusOverride(
    app: string,
    instanceId: string,
    status?: InstanceStatus,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const path = [...instancePath(app, instanceId), 'status'];
    const call = { method: 'DELETE', path, query: { value: status }, answers: [404] } as const;
    return (await this.call(call, signal)).status !== 404;
  }

  /** Adds or replaces single keys; false when the server doesn't have the instance. It can't remove one. */
  async updateMetadata(
    app: string,
    instanceId: string,
    metadata: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const path = [...instancePath(app, instanceId), 'metadata'];
    return (await this.call({ method: 'PUT', path, query: metadata, answers: [404] }, signal)).status !== 404;
  }

  /** The whole registry. @param regions remote regions to include */
  getApplications(regions: readonly string[] = [], signal?: AbortSignal): Promise<DecodedApplications> {
    return this.read(['apps', ''], { regions: joined(regions) }, decodeApplications, signal);
  }

  /** The changes of the last minutes; undefined when the server has none to give: ask for everything. */
  async getDelta(regions: readonly string[] = [], signal?: AbortSignal): Promise<DecodedApplications | undefined> {
    return this.readOrNothing(['apps', 'delta'], { regions: joined(regions) }, [403, 404], decodeApplications, signal);
  }

  /** The applications of a virtual name, without those that have none. */
  async getVip(vip: string, regions: readonly string[] = [], signal?: AbortSignal): Promise<DecodedApplications> {
    const query = { regions: joined(regions) };
    return (await this.readOrNothing(['vips', vip], query, [404], decodeApplications, signal)) ?? NOTHING;
  }

  /** The applications of a secure virtual name. */
  async getSecureVip(vip: string, regions: readonly string[] = [], signal?: AbortSignal): Promise<DecodedApplications> {
    const query = { regions: joined(regions) };
    return (await this.readOrNothing(['svips', vip], query, [404], decodeApplications, signal)) ?? NOTHING;
  }

  /** The instances of one application; undefined when there is no such application. */
  async getApplication(app: string, signal?: AbortSignal): Promise<readonly EurekaInstance[] | undefined> {
    const name = app.toUpperCase();
    const records = await this.readOrNothing(['apps', name], {}, [404], decodeApplication, signal);
    return records?.map((record) => decodeInstance(record, name)).filter((instance) => instance !== undefined);
  }

  /** One instance, past the server's caches; undefined when the server doesn't have it. */
  getAppInstance(app: string, instanceId: string, signal?: AbortSignal): Promise<EurekaInstance | undefined> {
    return this.readOrNothing(instancePath(app, instanceId), {}, [404], decodeSingleInstance, signal);
  }

  /** One instance of whatever application; undefined when the server doesn't have it. */
  getInstance(instanceId: string, signal?: AbortSignal): Promise<EurekaInstance | undefined> {
    return this.readOrNothing(['instances', instanceId], {}, [404], decodeSingleInstance, signal);
  }

  private async read<T>(
    path: readonly string[],
    query: Call['query'] & {},
    decode: (body: unknown) => T,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    // Decoded within the call: a server that answers nonsense has failed, and the next one is asked.
    return this.request(
      { method: 'GET', path, query },
      (response, target) => decodeBody(response, target, decode),
      signal,
    );
  }

  private async readOrNothing<T>(
    path: readonly string[],
    query: Call['query'] & {},
    nothing: readonly number[],
    decode: (body: unknown) => T,
    signal: AbortSignal | undefined,
  ): Promise<T | undefined> {
    return this.request(
      { method: 'GET', path, query, answers: nothing },
      (response, target) => (nothing.includes(response.status) ? undefined : decodeBody(response, target, decode)),
      signal,
    );
  }

  private call(call: Call, signal: AbortSignal | undefined): Promise<EurekaHttpResponse> {
    return this.request(call, (response) => response, signal);
  }

  private async request<T>(
    call: Call,
    take: (response: EurekaHttpResponse, target: string) => T,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    try {
      return await this.servers.run(async (server) => {
        const target = urlOf(server, call);
        const response = await this.send(server, call, target, signal);
        const accepted = (response.status >= 200 && response.status < 300) || call.answers?.includes(response.status);
        if (accepted !== true) throw new HttpStatusError(response.status, response.bodyText, withoutSecrets(target));
        return take(response, withoutSecrets(target));
      }, signal);
    } catch (error) {
      throw this.explained(error);
    }
  }

  private async send(
    server: Endpoint,
    call: Call,
    url: string,
    signal: AbortSignal | undefined,
  ): Promise<EurekaHttpResponse> {
    const headers: Record<string, string> = {
      // Without the word json in it, servers answer XML.
      accept: 'application/json',
      'discoveryidentity-name': 'DefaultClient',
      'discoveryidentity-version': '1.4',
    };
    if (server.authorization !== undefined) headers['authorization'] = server.authorization;
    const data = call.body === undefined ? undefined : JSON.stringify(call.body);
    if (data !== undefined) headers['content-type'] = 'application/json';
    const what = printable(`${call.method} ${withoutSecrets(url)}`);
    try {
      const answer = await this.http.request({ url, method: call.method, headers }, data, undefined, signal);
      this.debug(`${what}: ${answer.status}, ${answer.bodyText.length} characters`);
      return answer;
    } catch (error) {
      this.debug(`${what}: ${printable(withoutSecretUrls(messageOf(error)))}`);
      // An own HTTP client may throw what ours returns.
      if (error instanceof HttpStatusError && call.answers?.includes(error.status) === true) {
        return { status: error.status, bodyText: error.body, rawResponse: error };
      }
      throw error;
    }
  }

  /** Wrong credentials are no outage, and won't go away by waiting. */
  private explained(error: unknown): unknown {
    if (!(error instanceof DiscoveryError) || error.code !== 'BACKEND_UNAVAILABLE') return error;
    const { cause, attempts, message } = error;
    if (!(cause instanceof HttpStatusError) || cause.status !== 401 || !isUnauthorized(attempts ?? [])) return error;
    return new DiscoveryError('BACKEND_REFUSED', `${message}; give the right user and password for each server`, {
      backend: this.backend,
      attempts: attempts ?? [],
      cause,
    });
  }
}

const NOTHING: DecodedApplications = Object.freeze({ hashcode: '', applications: Object.freeze([]) });

function isUnauthorized(attempts: readonly Attempt[]): boolean {
  return attempts.every((attempt) => / answered 401\b/.test(attempt.reason));
}

function decodeBody<T>(response: EurekaHttpResponse, target: string, decode: (body: unknown) => T): T {
  const text = response.bodyText;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    const start = /^\s*</.test(text) ? 'XML or HTML' : text.trim() === '' ? 'nothing' : describe(text.slice(0, 40));
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `${target} answered ${start} instead of JSON`, { cause });
  }
  return decode(body);
}

function instancePath(app: string, instanceId: string): readonly string[] {
  return ['apps', app.toUpperCase(), instanceId];
}

function urlOf(server: Endpoint, call: Call): string {
  const path = call.path.map((part) => `/${encodeURIComponent(part)}`).join('');
  const query = Object.entries(call.query ?? {})
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
    .join('&');
  return `${server.baseUrl}${path}${query === '' ? '' : `?${query}`}`;
}

function joined(regions: readonly string[]): string | undefined {
  return regions.length === 0 ? undefined : regions.join(',');
}
