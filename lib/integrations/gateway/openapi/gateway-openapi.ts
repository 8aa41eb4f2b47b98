import { SingleFlight, TroubleLog, withDeadline, type Clock, type Logger } from '../../../backend/index.js';
import { failureOf } from '../../../balancing/index.js';
import type { ServiceHttpClient } from '../../../http/index.js';
import { codeOf, DiscoveryError, type ServiceInstance } from '../../../model/index.js';
import type { Route } from '../route.js';
import { MergedDocument } from './merged-document.js';
import type { GatewayOpenApiOptions } from './openapi.options.js';
import { DocumentProblem, readDocument, type JsonObject, type ServiceDocument } from './service-document.js';

/** What a {@link GatewayOpenApi} needs of its app. */
export interface OpenApiParts {
  readonly options: GatewayOpenApiOptions | undefined;
  /** The routes that are in force. */
  readonly routes: () => readonly Route[];
  readonly client: ServiceHttpClient;
  /** What stands before every path at an instance. */
  readonly basePathOf: (service: string, instance: ServiceInstance) => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is known of a service's document. */
interface Known {
  readonly document?: ServiceDocument;
  readonly basePath: string;
  /** When it was read, in milliseconds since the epoch. */
  readonly readAt: number;
  /** Why it couldn't be read again. */
  readonly problem?: string;
}

const NEVER: Known = { basePath: '', readAt: -Infinity };

const DEFAULTS = { maxAgeMs: 60_000, timeoutMs: 5000, maxBytes: 2 * 1024 * 1024 };

/**
 * Shows the OpenAPI documents of the services that the gateway forwards to on one page with the app's own, under the paths by
 * which it forwards them. Injectable where `ServiceGatewayModule.forRoot({ openApi })` is imported.
 *
 * ```ts
 * SwaggerModule.setup('docs', app, document, {
 *   patchDocumentOnRequest: (_request, _response, own) => app.get(GatewayOpenApi).merge(own),
 * });
 * ```
 */
export class GatewayOpenApi {
  private readonly known = new Map<string, Known>();
  private readonly flights = new SingleFlight<Known>();
  private readonly troubles: TroubleLog;

  /** @internal Made by the module. */
  constructor(private readonly parts: OpenApiParts) {
    this.troubles = new TroubleLog(parts.logger, parts.clock);
  }

  /**
   * The app's document with those of the services: what can be asked for through the routes that are in force. Documents that
   * are older than `maxAgeMs` are read first. Of a service that doesn't answer the last one is shown, and the page's description
   * says so. Components of one name that differ get the service's name before theirs.
   *
   * @param own the app's own document, which isn't changed
   * @throws DiscoveryError `INVALID_OPTION` when `openApi` was not given
   */
  async merge<T extends object>(own: T): Promise<T> {
    const { options, routes } = this.parts;
    if (options === undefined) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        "which path do the services have their documents at? Give ServiceGatewayModule openApi: { path: '/docs-json' }",
        { field: 'openApi' },
      );
    }
    const byService = new Map<string, Route[]>();
    for (const route of routes()) {
      if (pathFor(options, route.service) === undefined) continue;
      byService.set(route.service, [...(byService.get(route.service) ?? []), route]);
    }
    for (const service of this.known.keys()) if (!byService.has(service)) this.known.delete(service);
    const services = [...byService.keys()];
    const read = await Promise.all(services.map((service) => this.current(service, options)));
    const merged = new MergedDocument(own as unknown as JsonObject);
    for (const [at, { document, basePath, readAt, problem }] of read.entries()) {
      const service = services[at] ?? '';
      if (document !== undefined) merged.add(service, document, byService.get(service) ?? [], basePath);
      if (problem === undefined) continue;
      const shown = document === undefined ? 'nothing of it is shown' : `shown as of ${new Date(readAt).toISOString()}`;
      merged.note(`**${service}**: its document can’t be read now (${problem}); ${shown}.`);
    }
    return merged.result() as unknown as T;
  }

  private async current(service: string, options: GatewayOpenApiOptions): Promise<Known> {
    const { maxAgeMs = DEFAULTS.maxAgeMs } = options;
    const before = this.known.get(service) ?? NEVER;
    if (before.problem === undefined && this.parts.clock.now() - before.readAt < maxAgeMs) return before;
    return this.flights.run(service, async () => {
      const now = await this.read(service, options).catch((error: unknown): Known => {
        this.troubles.failed(`the OpenAPI document of ${service}`, error, 'the one before stays on the page');
        return { ...before, problem: problemOf(error) };
      });
      if (now.problem === undefined) this.troubles.works(`the OpenAPI document of ${service}`);
      this.known.set(service, now);
      return now;
    });
  }

  private async read(service: string, options: GatewayOpenApiOptions): Promise<Known> {
    const { client, clock, basePathOf } = this.parts;
    const { timeoutMs = DEFAULTS.timeoutMs, maxBytes = DEFAULTS.maxBytes } = options;
    const path = pathFor(options, service) ?? '/';
    return withDeadline(clock, timeoutMs, undefined, `the OpenAPI document of ${service}`, (signal) =>
      client.walkNodes(service, async (url, instance) => {
        const basePath = basePathOf(service, instance);
        const ask = (at: string): Promise<string> => textAt(client.axiosRef, url + at, { signal, maxBytes, timeoutMs });
        const text = await ask(basePath + path).catch((error: unknown) => {
          // Nest serves it beside its global prefix.
          if (basePath === '' || failureOf(error) !== 404) throw error;
          return ask(path);
        });
        return { document: readDocument(text), basePath, readAt: clock.now() };
      }),
    );
  }
}

function pathFor({ path }: GatewayOpenApiOptions, service: string): string | undefined {
  if (typeof path === 'string') return path;
  return Object.hasOwn(path, service) ? path[service] : undefined;
}

async function textAt(
  axios: ServiceHttpClient['axiosRef'],
  url: string,
  limits: { readonly signal: AbortSignal; readonly maxBytes: number; readonly timeoutMs: number },
): Promise<string> {
  const { data } = await axios.get<string>(url, {
    headers: { accept: 'application/json' },
    responseType: 'text',
    transformResponse: [],
    signal: limits.signal,
    timeout: limits.timeoutMs,
    maxContentLength: limits.maxBytes,
    maxRedirects: 0,
  });
  return data;
}

/** In words that name no address. */
function problemOf(error: unknown): string {
  if (error instanceof DocumentProblem) return error.message;
  const failure = failureOf(error);
  return typeof failure === 'number' ? `HTTP ${failure}` : (codeOf(error) ?? 'it can’t be asked');
}
