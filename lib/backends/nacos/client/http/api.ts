import { defined } from '../../../../model/index.js';
import { withoutSecrets, type ServerList } from '../../../../backend/index.js';
import type { NacosAuth } from '../auth.js';
import type { Environment } from '../environment.js';
import { NacosError, withAdvice } from '../errors.js';
import type { HttpAnswer, HttpRequest, HttpTransport } from './transport.js';
import { numberAt, parseObject } from '../json.js';
import type { NacosInstance } from '../naming/model.js';
import type { NacosClientSettings } from '../options.js';
import type { SignedResource } from '../signing.js';

/** What requests to the HTTP API need. */
export interface HttpApi {
  readonly env: Environment;
  readonly settings: Pick<
    NacosClientSettings,
    'contextPath' | 'namespaces' | 'requestTimeoutMs' | 'username' | 'credentials'
  >;
  readonly http: HttpTransport;
  readonly auth: NacosAuth;
  readonly servers: ServerList;
  /** Waits until the servers are known, when an endpoint has to name them first. */
  readonly ready?: () => Promise<void>;
}

/** One request to the HTTP API, without the server's address. */
export type ApiRequest = Omit<HttpRequest, 'url' | 'timeoutMs'> & {
  readonly path: string;
  readonly resource: SignedResource;
  readonly timeoutMs?: number;
  /** Answers besides 200 that are the caller's to understand. */
  readonly expected?: readonly number[];
};

/** The server doesn't know the path: its API is of another generation. */
export class NoSuchPathError extends NacosError {
  override name = 'NoSuchPathError';
}

/**
 * Which generation of the HTTP API the servers speak, for each operation: 3.1 has dropped some of the first one's, 3.2
 * nearly all. What worked last is asked first; where that is unknown, the other one is, so that a change of the servers
 * in either direction is survived.
 */
export class ApiGenerations {
  private readonly newer = new Set<string>();

  /**
   * @throws DiscoveryError what the generation that exists failed with, or {@link NoSuchPathError} when neither does
   */
  async either<T>(operation: string, older: () => Promise<T>, newer: () => Promise<T>): Promise<T> {
    const wasNewer = this.newer.has(operation);
    try {
      return await (wasNewer ? newer : older)();
    } catch (error) {
      if (!(error instanceof NoSuchPathError)) throw error;
      try {
        const result = await (wasNewer ? older : newer)();
        this.remember(operation, !wasNewer);
        return result;
      } catch (other) {
        if (other instanceof NoSuchPathError) throw error;
        // Whatever it said, it knows the path; only of a server that wasn't reached nothing is known.
        if (other instanceof NacosError && other.code === 'BACKEND_REFUSED') this.remember(operation, !wasNewer);
        throw other;
      }
    }
  }

  private remember(operation: string, newer: boolean): void {
    if (newer) this.newer.add(operation);
    else this.newer.delete(operation);
  }
}

/**
 * Sends a request to the servers in turn until one answers, with the credentials; logs in once more when they are
 * refused.
 *
 * @throws DiscoveryError `BACKEND_UNAVAILABLE`, {@link NoSuchPathError}, or {@link NacosError} for another answer that
 * is none of the expected ones
 */
export async function callApi(api: HttpApi, request: ApiRequest): Promise<HttpAnswer> {
  await api.ready?.();
  for (let again = true; ; again = false) {
    const credentials = await api.auth.headers(request.resource);
    const answer = await api.servers.run((server) => callServer(api, server, request, credentials), request.signal);
    if ((answer.status === 403 || answer.status === 401) && again && (await api.auth.refused(credentials))) continue;
    const said = answer.text.replace(/\s+/g, ' ').slice(0, 200);
    const message = `${request.method} ${request.path}: ${said || 'no reason given'} (${answer.status})`;
    if (isNoSuchPath(answer)) throw new NoSuchPathError(answer.status, message);
    if (answer.status === 200 || request.expected?.includes(answer.status) === true) return answer;
    throw withAdvice(new NacosError(answer.status, message), api.settings);
  }
}

async function callServer(
  api: HttpApi,
  server: string,
  request: ApiRequest,
  credentials: Readonly<Record<string, string>>,
): Promise<HttpAnswer> {
  const inHeaders = request.resource.kind === 'config';
  const { accessToken, ...signature } = credentials;
  const answer = await api.http.request({
    method: request.method,
    url: `${server}${api.settings.contextPath}${request.path}`,
    // Signatures of naming requests are parameters, those of configuration are headers.
    params: { ...request.params, ...(inHeaders ? {} : signature) },
    headers: {
      'User-Agent': 'Nacos-Nodejs-Client:v3.0.0',
      'Client-Version': 'Nacos-Nodejs-Client:v3.0.0',
      ...request.headers,
      ...(inHeaders ? signature : {}),
      // Servers before 2.1 know the first form only.
      ...(accessToken === undefined ? {} : { Authorization: `Bearer ${accessToken}`, accessToken }),
    },
    timeoutMs: request.timeoutMs ?? api.settings.requestTimeoutMs,
    ...defined({ signal: request.signal }),
  });
  // The server's own trouble, not an answer: the next one may do better.
  if (
    answer.status >= 500 &&
    request.expected?.includes(answer.status) !== true &&
    isOverload(answer, request.method)
  ) {
    throw new NacosError(503, `${withoutSecrets(server)} answered ${answer.status}`);
  }
  return answer;
}

/** Whether the server doesn't know the path at all. What Nacos says itself is plain text, or has a `code` of its own. */
function isNoSuchPath({ status, text }: HttpAnswer): boolean {
  if (status === 410) return true;
  const json = [404, 405, 501].includes(status) ? parseObject(text) : {};
  return 'path' in json && numberAt(json, 'code') === undefined;
}

/** Trouble of the server: it could not do what it was asked for. Servers of 2.x answer some refusals with 500, too. */
function isOverload({ status, text }: HttpAnswer, method: string): boolean {
  if (status !== 500) return true;
  if (/errCode: (?:4|2)\d\d|already exists|not found|no (?:ips|matched)|invalid|illegal|param/i.test(text))
    return false;
  // Nobody is hurt by a question that is asked again elsewhere.
  return method === 'GET' || !text.includes('caused:');
}

/** Registers or deregisters an instance that doesn't live with the connection, over HTTP. */
export async function persistentOverHttp(
  api: HttpApi,
  operation: 'register' | 'deregister',
  target: {
    readonly service: string;
    readonly group: string;
    readonly instance: NacosInstance;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const { service, group, instance, signal } = target;
  await callApi(api, {
    method: operation === 'register' ? 'POST' : 'DELETE',
    path: '/v1/ns/instance',
    params: instanceParams(service, group, api.settings.namespaces.naming, instance),
    resource: { kind: 'naming', serviceName: service, groupName: group },
    ...defined({ signal }),
  });
}

/** The parameters that name and describe an instance. */
export function instanceParams(
  service: string,
  group: string,
  namespaceId: string,
  instance: NacosInstance,
): Record<string, string> {
  return {
    serviceName: service,
    groupName: group,
    namespaceId,
    ip: instance.ip,
    port: String(instance.port),
    clusterName: instance.clusterName,
    weight: String(instance.weight),
    enabled: String(instance.enabled),
    healthy: String(instance.healthy),
    ephemeral: String(instance.ephemeral),
    metadata: JSON.stringify(instance.metadata),
  };
}
