import { checkOptions, type Clock } from '../../backend/index.js';
import { markUnsent, type HttpTransport, type LastingCalls, type ServiceCaller } from '../../http/index.js';
import { DiscoveryError, messageOf, type ServiceInstance } from '../../model/index.js';
import { FORWARD_CHECKS, type ForwardOptions } from './forward-options.js';
import type { ForwardedHeaders, TrustedNetworks } from './forwarded.js';
import { changeHeaders, type HeaderList } from './header-list.js';
import { incomingOf, type Incoming } from './incoming.js';
import { normalPath } from './normal-path.js';
import { ClientGone, HeldAnswer, Passage, type Answered } from './passage.js';
import { answerProblem, problemOf, RequestRefused, type Problem } from './problem.js';
import { forwardBody, type ForwardBody } from './request-body.js';
import { hasTooManyHeaders, hostFor, pathAt, requestHeaders, type RequestHeadPlan } from './request-head.js';

/** What became of a request that was passed on. */
export interface ForwardResult {
  readonly service: string;
  /** What was answered; 0 when whoever asked was gone before. */
  readonly status: number;
  /** The instance that answered: `http://10.0.0.5:8080`. */
  readonly instance?: string;
  /** How many instances were tried. */
  readonly attempts: number;
  /** Until the answer had ended, in milliseconds. */
  readonly durationMs: number;
  /** Why the gateway answered, or the answer broke off: one of our codes, or `UPSTREAM_FAILED`, `CLIENT_GONE` … */
  readonly code?: string;
}

/** What all requests of an app have in common. */
export interface ProxyDefaults {
  readonly trusted: TrustedNetworks | undefined;
  readonly forwardedHeaders: ForwardedHeaders;
  readonly options: Pick<ForwardOptions, 'timeoutMs' | 'maxRequestBytes' | 'serverTiming' | 'host'>;
  /** Told of every request that was passed on. */
  readonly onForwarded: (incoming: Incoming, result: ForwardResult) => void;
}

/** What a {@link ServiceProxy} needs of its app. */
export interface ProxyParts {
  readonly caller: ServiceCaller;
  readonly transport: HttpTransport;
  readonly clock: Clock;
  /** Where what may last is kept account of, which ends with the app. */
  readonly lasting: LastingCalls;
  readonly defaults: ProxyDefaults;
}

/** Where at the service. */
export interface Destination {
  /** Path and query. */
  readonly path: string;
  /** What was taken off the request's own path. */
  readonly prefix?: string;
}

/** One request on its way. */
interface Journey {
  readonly service: string;
  readonly incoming: Incoming;
  readonly options: ForwardOptions;
  readonly path: string;
  readonly head: RequestHeadPlan;
  readonly body: ForwardBody;
  readonly signal: { aborted: boolean };
  readonly beganAt: number;
  attempts: number;
  passage: Passage | undefined;
  instance: ServiceInstance | undefined;
}

/**
 * Passes requests on to services, by name: streamed both ways over the app's own connections, balanced, ejecting and failing
 * over as its calls are. Injectable where `ServiceGatewayModule.forRoot()` is imported.
 *
 * ```ts
 * @All('orders/*path') orders(@Req() request: Request, @Res() response: Response) {
 *   return this.proxy.forward(request, response, 'lb://ORDERS', { prefix: '/api' });
 * }
 * ```
 *
 * A request is tried elsewhere as long as nothing of its body was sent, and after that only when it surely didn't arrive.
 * Whatever the service answers is passed on as it is.
 */
export class ServiceProxy {
  private readonly checked = new WeakSet<ForwardOptions>();
  private isWarm = false;

  /** @internal Made by the module. */
  constructor(
    /** @internal */
    readonly parts: ProxyParts,
  ) {}

  /**
   * Passes one request on, and its answer back.
   *
   * @param request as `@Req()` gives it, on Express or Fastify; also Node's own
   * @param response as `@Res()` gives it
   * @param target the service: `lb://STOCK`, or `lb://STOCK/api` to ask below a path
   * @returns what became of it, when the answer has ended; as a rule a failure is an answer too
   * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME`; with `onFailure: 'throw'` also what the call failed by
   */
  async forward(
    request: object,
    response: object,
    target: string,
    options: ForwardOptions = NO_OPTIONS,
  ): Promise<ForwardResult> {
    if (!this.checked.has(options)) {
      checkOptions('forward()', options, FORWARD_CHECKS);
      this.checked.add(options);
    }
    const { service, base } = targetOf(target);
    const incoming = incomingOf(request, response);
    return this.pass(incoming, service, { ...this.parts.defaults.options, ...options }, () =>
      destinationOf(incoming.target, base, options),
    );
  }

  /**
   * @internal Passes on what a route was found for.
   * @param destination where at the service; undefined for a path that is refused
   */
  async pass(
    incoming: Incoming,
    service: string,
    options: ForwardOptions,
    destination: () => Destination | undefined,
  ): Promise<ForwardResult> {
    const { clock, defaults, transport } = this.parts;
    const beganAt = clock.now();
    let journey: Journey | undefined;
    let result: ForwardResult;
    try {
      if (!this.isWarm) {
        await transport.warmUp();
        this.isWarm = true;
      }
      journey = this.begin(incoming, service, options, destination(), beganAt);
      result = await this.travel(journey);
    } catch (error) {
      if (options.onFailure === 'throw' && !incoming.response.headersSent && !(error instanceof ClientGone))
        throw error;
      result = this.refuse(incoming, service, error, beganAt, journey);
    }
    defaults.onForwarded(incoming, result);
    return result;
  }

  private begin(
    incoming: Incoming,
    service: string,
    options: ForwardOptions,
    destination: Destination | undefined,
    beganAt: number,
  ): Journey {
    const { defaults } = this.parts;
    if (destination === undefined) {
      throw new RequestRefused({ status: 400, code: 'BAD_PATH', detail: 'the path can be read in more than one way' });
    }
    if (hasTooManyHeaders(incoming.request)) {
      throw new RequestRefused({ status: 431, code: 'TOO_MANY_HEADERS', detail: 'the request has too many headers' });
    }
    const limit = options.maxRequestBytes ?? Infinity;
    const body = forwardBody(incoming.request, incoming.parsed, limit, () => journey.passage?.progressed());
    const journey: Journey = {
      service,
      incoming,
      options,
      path: destination.path,
      head: {
        headers: defaults.forwardedHeaders,
        trusted: defaults.trusted,
        prefix: destination.prefix,
        host: options.host ?? 'service',
        changes: options.headers,
      },
      body,
      signal: { aborted: false },
      beganAt,
      attempts: 0,
      passage: undefined,
      instance: undefined,
    };
    return journey;
  }

  private async travel(journey: Journey): Promise<ForwardResult> {
    const { incoming, body, signal, service, options } = journey;
    const { request, response } = incoming;
    const onClose = (): void => {
      if (response.writableFinished) return;
      signal.aborted = true;
      journey.passage?.cancel(new ClientGone('whoever asked has gone away'));
    };
    response.once('close', onClose);
    try {
      if (response.destroyed) throw new ClientGone('whoever asked has gone away');
      const status = await this.answered(journey);
      const broken = await journey.passage?.finished;
      return {
        service,
        status: signal.aborted && !response.headersSent ? 0 : status,
        attempts: journey.attempts,
        durationMs: this.parts.clock.now() - journey.beganAt,
        ...(journey.instance === undefined ? {} : { instance: journey.instance.url }),
        ...(broken === undefined ? {} : { code: signal.aborted ? 'CLIENT_GONE' : 'UPSTREAM_FAILED' }),
      };
    } finally {
      response.off('close', onClose);
      body.release();
      // What is left of a body that nobody wants is let go, so that the connection can be used again.
      if (!request.readableEnded && options.onFailure !== 'throw') request.resume();
    }
  }

  /** The status that was answered, once the head is written. */
  private async answered(journey: Journey): Promise<number> {
    const { incoming, service, options, body, signal } = journey;
    const { headers, method } = incoming.request;
    try {
      const { status } = await this.parts.caller.carry(
        service,
        {
          method,
          isReplayable: body.isReplayable,
          isCallersFault: body.isCallersFault,
          endOf: finishedOf,
          signal,
          context: contextOf(options),
          path: journey.path,
          header: (name) => {
            const value = headers[name.toLowerCase()];
            return typeof value === 'string' ? value : undefined;
          },
        },
        (instance, { timeLeft, basePath, options: { retry }, headers: more }) =>
          this.attempt(journey, instance, basePath, timeLeft(options.timeoutMs), retry.statuses, more),
      );
      return status;
    } catch (error) {
      if (!(error instanceof HeldAnswer)) throw error;
      // There is no better one.
      error.passage.release();
      return error.response.status;
    }
  }

  private attempt(
    journey: Journey,
    instance: ServiceInstance,
    basePath: string | undefined,
    timeoutMs: number,
    held: readonly number[],
    more: Readonly<Record<string, string>> | undefined,
  ): Promise<Answered> {
    const { transport, clock } = this.parts;
    const { incoming, head, body, options } = journey;
    const { request, response } = incoming;
    if (transport.dispatch === undefined) {
      throw new DiscoveryError(
        'UNSUPPORTED',
        "requests are passed on over undici's connections, and this app's HTTP client is axios's own: leave out transport.client",
        { field: 'transport.client' },
      );
    }
    if (journey.signal.aborted) throw new ClientGone('whoever asked has gone away');
    const path = pathAt(basePath, journey.path);
    if (path === undefined) throw badBasePath(journey.service);
    journey.attempts += 1;
    journey.instance = instance;
    const headers = requestHeaders(request, body, head);
    headers.push('Host', hostFor(request, instance, head));
    for (const [name, value] of Object.entries(more ?? {})) {
      if (request.headers[name.toLowerCase()] === undefined) headers.push(name, value);
    }
    const passage = new Passage({
      transport,
      clock,
      origin: instance.url,
      request: { method: request.method ?? 'GET', path, headers, body: body.open() },
      trailers: trailersOf(journey),
      response,
      timeoutMs,
      held,
      changes: options.responseHeaders,
      onAnswer: () => {
        incoming.takeOver();
        if (options.serverTiming === true) response.appendHeader('Server-Timing', timing(journey, clock));
      },
    });
    journey.passage = passage;
    return passage.start();
  }

  private refuse(
    incoming: Incoming,
    service: string,
    error: unknown,
    beganAt: number,
    journey: Journey | undefined,
  ): ForwardResult {
    const told = {
      service,
      attempts: journey?.attempts ?? 0,
      durationMs: this.parts.clock.now() - beganAt,
      ...(journey?.instance === undefined ? {} : { instance: journey.instance.url }),
    };
    if (error instanceof ClientGone) return { ...told, status: 0, code: 'CLIENT_GONE' };
    const problem: Problem = problemOf(error, service);
    if (!incoming.response.headersSent) incoming.takeOver();
    // What is still coming of a request that is refused can't be told from the next one.
    const isUnread = !incoming.request.complete;
    answerProblem(incoming.response, isUnread ? { ...problem, closes: true } : problem);
    return { ...told, status: problem.status, code: problem.code };
  }
}

const finishedOf = (answered: unknown): Promise<unknown> => (answered as Answered).finished;

const NO_OPTIONS: ForwardOptions = Object.freeze({});

/** @throws DiscoveryError `INVALID_NAME` */
function targetOf(target: string): { readonly service: string; readonly base: string } {
  const [, name = '', base = ''] = /^lb:\/\/([^/?#]+)(\/[^?#]*)?$/.exec(target) ?? [];
  try {
    if (name !== '') return { service: decodeURIComponent(name), base: base.replace(/\/+$/, '') };
  } catch (error) {
    throw badTarget(messageOf(error));
  }
  throw badTarget('it has another form');
}

function badTarget(problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_NAME', `the target must look like lb://SERVICE or lb://SERVICE/path: ${problem}`, {
    field: 'target',
  });
}

function destinationOf(target: string, base: string, { path, prefix = '' }: ForwardOptions): Destination | undefined {
  if (path !== undefined) return normalPath(base + path) === undefined ? undefined : { path: base + path };
  const own = normalPath(target);
  if (own === undefined) return undefined;
  const mounted = prefix.replace(/\/+$/, '');
  const isMounted = mounted !== '' && (own.path === mounted || own.path.startsWith(`${mounted}/`));
  if (!isMounted) return { path: base + own.path + own.query };
  const rest = own.path.slice(mounted.length);
  return { path: `${base}${rest === '' ? '/' : rest}${own.query}`, prefix: mounted };
}

/** What was said of a header holds for a trailer of its name too: neither may take its place. */
function trailersOf({ body: { trailers }, options }: Journey): (() => HeaderList) | undefined {
  if (trailers === undefined) return undefined;
  const without = Object.fromEntries(Object.keys(options.headers ?? {}).map((name) => [name, null]));
  return () => changeHeaders(trailers(), without);
}

function contextOf({ hint, key }: ForwardOptions): { readonly hint?: string; readonly key?: string } {
  return { ...(hint === undefined ? {} : { hint }), ...(key === undefined ? {} : { key }) };
}

/** Told as a connection that wasn't made: another instance may have better metadata. */
function badBasePath(service: string): DiscoveryError {
  const error = new DiscoveryError(
    'INVALID_INSTANCE',
    `the metadata of an instance of ${service} has a path that is none`,
    {
      service,
    },
  );
  markUnsent(error);
  return error;
}

function timing({ service, beganAt, attempts }: Journey, clock: Clock): string {
  const name = service.replace(/[^\w!#$%&'*+.^`|~-]/g, '_');
  return `gateway;desc="${name}";dur=${clock.now() - beganAt}, attempts;desc="${attempts}"`;
}
