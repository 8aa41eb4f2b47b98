import { randomBytes } from 'node:crypto';
import {
  checkOptions,
  silentLogger,
  singleLine,
  systemClock,
  withDeadline,
  type Clock,
  type Logger,
} from '../../../backend/index.js';
import { DiscoveryError, messageOf, toDiscoveryError } from '../../../model/index.js';
import { NatsServiceError } from '../connection/errors.js';
import type { NatsConnection, NatsRawMessage, NatsSubscription } from '../connection/port.js';
import { ServiceEndpoint, type EndpointContext } from './endpoint.js';
import { assertPrefix, assertServiceName, copyMetadata, DEFAULT_API_PREFIX } from './names.js';
import { Outbox } from './outbox.js';
import {
  controlSubjects,
  encodeAnswer,
  type ServiceIdentity,
  type ServiceInfo,
  type ServiceStats,
  type ServiceVerb,
} from './protocol.js';
import {
  assertIdentity,
  DEFAULT_INHERITED,
  ENDPOINT_OPTIONS,
  endpointConfig,
  inherit,
  INHERITED_OPTIONS,
  SERVICE_OPTIONS,
  type EndpointOptions,
  type Inherited,
  type InheritedOptions,
  type ServiceConfig,
  type ServiceHandler,
} from './service-options.js';

const VERBS: readonly ServiceVerb[] = ['PING', 'INFO', 'STATS'];
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/**
 * Makes a service on a connection that the caller owns; nothing happens before `start()`.
 *
 * ```ts
 * const service = addService(connection, { name: 'calc', version: '1.0.0' });
 * await service.start();
 * await service.addGroup('math').addEndpoint('add', (request) => {
 *   const { a, b } = request.json<{ a: number; b: number }>();
 *   request.respond({ sum: a + b });
 * });
 * ```
 *
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, naming the field and the rule
 */
export function addService(connection: NatsConnection, config: ServiceConfig): NatsServiceHandle {
  return new NatsServiceHandle(connection, config);
}

/** Endpoints under a common prefix. At run time only the endpoints exist. */
export class ServiceGroup {
  /** @internal made by `addGroup` */
  constructor(
    private readonly service: NatsServiceHandle,
    private readonly prefixes: readonly string[],
    private readonly inherited: Inherited,
  ) {}

  /** The prefix of its subjects, with those of the groups around it. */
  get prefix(): string {
    return this.prefixes.join('.');
  }

  /** A group in this group. @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION` */
  addGroup(name: string, options: InheritedOptions = {}): ServiceGroup {
    checkOptions('addGroup()', options, INHERITED_OPTIONS);
    if (name !== '') assertPrefix(name, 'group name');
    const prefixes = name === '' ? this.prefixes : [...this.prefixes, name];
    return new ServiceGroup(this.service, prefixes, inherit(options, this.inherited));
  }

  /** An endpoint in this group, as `NatsServiceHandle.addEndpoint`. */
  addEndpoint(name: string, handler: ServiceHandler, options: EndpointOptions = {}): Promise<ServiceEndpoint> {
    return this.service.add(name, handler, options, this.inherited, this.prefixes);
  }
}

/** One instance of a NATS micro service (ADR-32): endpoints under one name, which anybody can find, ask and measure. */
export class NatsServiceHandle implements AsyncDisposable {
  readonly id: string;
  /**
   * Resolves when the service has stopped: with nothing when it was asked to, else with the reason (the connection was
   * closed, the server refused a subject).
   */
  readonly stopped: Promise<DiscoveryError | undefined>;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly prefix: string;
  private readonly identity: ServiceIdentity;
  private readonly root: ServiceGroup;
  private readonly endpoints: ServiceEndpoint[] = [];
  private readonly controls: NatsSubscription[] = [];
  private ping: Uint8Array;
  private started: Date;
  private state: 'created' | 'running' | 'stopped' = 'created';
  private outbox: Outbox | undefined;
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;
  private settleStopped: (error: DiscoveryError | undefined) => void = () => {};

  /** @internal use `addService` */
  constructor(
    private readonly connection: NatsConnection,
    private readonly config: ServiceConfig,
  ) {
    checkOptions('addService()', config, SERVICE_OPTIONS);
    assertIdentity(config);
    this.clock = config.clock ?? systemClock;
    this.logger = singleLine(config.logger ?? silentLogger);
    this.prefix = config.apiPrefix === undefined || config.apiPrefix === '' ? DEFAULT_API_PREFIX : config.apiPrefix;
    assertPrefix(this.prefix, 'apiPrefix');
    this.id = (config.idGenerator ?? randomId)();
    assertServiceName(this.id, 'service id');
    this.identity = Object.freeze({
      name: config.name,
      id: this.id,
      version: config.version,
      metadata: copyMetadata(config.metadata, 'metadata'),
    });
    this.root = new ServiceGroup(this, [], inherit(config, DEFAULT_INHERITED));
    this.started = this.now();
    this.ping = encodeAnswer('PING', this.identity);
    this.stopped = new Promise((resolve) => {
      this.settleStopped = resolve;
    });
  }

  get name(): string {
    return this.config.name;
  }

  /** True from the moment that it was asked to stop. */
  get isStopped(): boolean {
    return this.state === 'stopped';
  }

  /**
   * Begins to answer PING, INFO and STATS; resolves when the server knows. Again it does nothing.
   * @throws DiscoveryError `BACKEND_CLOSED` after `stop()`; `BACKEND_UNAVAILABLE`
   */
  start(): Promise<void> {
    if (this.state === 'stopped') return Promise.reject(this.stateError('started'));
    this.starting ??= this.startOnce();
    return this.starting;
  }

  /** A group of endpoints. @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION` */
  addGroup(name: string, options: InheritedOptions = {}): ServiceGroup {
    return this.root.addGroup(name, options);
  }

  /**
   * Adds an endpoint; resolves when the server knows of it. It shows in INFO and STATS, in the order of adding.
   *
   * A handler that throws or rejects is answered for with 500 and no detail; a `NatsServiceError` that it throws is
   * answered as it says.
   *
   * @param handler gets every request, perhaps several at once
   * @throws DiscoveryError `UNSUPPORTED` before `start()`, `BACKEND_CLOSED` after `stop()`; `INVALID_NAME`,
   * `INVALID_OPTION`
   */
  addEndpoint(name: string, handler: ServiceHandler, options: EndpointOptions = {}): Promise<ServiceEndpoint> {
    return this.root.addEndpoint(name, handler, options);
  }

  /** What INFO answers; a copy. */
  info(): ServiceInfo {
    return Object.freeze({
      ...this.identity,
      description: this.config.description ?? '',
      endpoints: Object.freeze(this.endpoints.map((endpoint) => endpoint.info)),
    });
  }

  /** What STATS answers; a copy. */
  stats(): ServiceStats {
    return Object.freeze({
      ...this.identity,
      started: this.started.toISOString(),
      endpoints: Object.freeze(this.endpoints.map((endpoint) => endpoint.stats)),
    });
  }

  /** Begins all statistics anew, with a new start time; endpoints and their order stay. */
  reset(): void {
    this.started = this.now();
    this.ping = encodeAnswer('PING', this.identity);
    for (const endpoint of this.endpoints) endpoint.reset();
  }

  /**
   * Takes no further requests, finishes those that were taken, then answers no questions any more. Never rejects; again
   * it gives the same promise. A stopped service stays stopped.
   */
  stop(): Promise<void> {
    return this.stopWith(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** @internal */
  async add(
    name: string,
    handler: ServiceHandler,
    options: EndpointOptions,
    inherited: Inherited,
    prefixes: readonly string[],
  ): Promise<ServiceEndpoint> {
    checkOptions('addEndpoint()', options, ENDPOINT_OPTIONS);
    if (typeof handler !== 'function') {
      throw new DiscoveryError('INVALID_OPTION', 'addEndpoint(): handler must be a function', { field: 'handler' });
    }
    const config = endpointConfig(name, options, inherited, prefixes);
    await this.starting;
    const { outbox } = this;
    if (this.state !== 'running' || outbox === undefined) throw this.stateError('given an endpoint');
    const endpoint = new ServiceEndpoint(config, handler, this.contextFor(outbox));
    this.endpoints.push(endpoint);
    await this.flush();
    return endpoint;
  }

  private contextFor(outbox: Outbox): EndpointContext {
    const { connection, clock, config } = this;
    return {
      connection,
      clock,
      handlerTimeoutMs: config.handlerTimeoutMs ?? 0,
      countErrorAnswers: config.countErrorAnswers ?? true,
      statsData: config.statsData,
      isConnected: () => outbox.isConnected,
      send: (reply, response) => outbox.send(reply, response),
      onError: (error, { config: { name, subject } }) => this.failed(error, name, subject),
      onLost: (error) => void this.stopWith(error),
    };
  }

  private async startOnce(): Promise<void> {
    this.state = 'running';
    this.outbox = new Outbox({
      connection: this.connection,
      clock: this.clock,
      inbox: `${this.config.inboxPrefix ?? '_INBOX'}.${randomId()}`,
      onError: (error) => this.failed(error, '', ''),
    });
    const answers: Readonly<Record<ServiceVerb, () => Uint8Array>> = {
      PING: () => this.ping,
      INFO: () => encodeAnswer('INFO', this.info()),
      STATS: () => encodeAnswer('STATS', this.stats()),
    };
    for (const verb of VERBS) {
      for (const subject of controlSubjects(this.prefix, verb, this.name, this.id)) {
        this.controls.push(
          this.connection.subscribe(subject, {
            callback: (error, message) => {
              if (error === null) this.tell(message, answers[verb]);
              else void this.stopWith(error);
            },
          }),
        );
      }
    }
    void this.connection.closed().then((reason) => this.stopWith(reason ?? new Error('the connection was closed')));
    await this.flush();
  }

  private tell(message: NatsRawMessage, answer: () => Uint8Array): void {
    if (message.reply === undefined || message.reply === '') return;
    try {
      this.connection.publish(message.reply, answer());
    } catch (error) {
      this.failed(error, '', message.subject);
    }
  }

  private stopWith(reason: Error | undefined): Promise<void> {
    this.stopping ??= this.stopOnce(reason);
    return this.stopping;
  }

  private async stopOnce(reason: Error | undefined): Promise<void> {
    const wasRunning = this.state === 'running';
    this.state = 'stopped';
    if (wasRunning) {
      const signal = new AbortController();
      await withDeadline(
        this.clock,
        this.config.drainTimeoutMs ?? 10_000,
        undefined,
        `stopping ${this.name}`,
        async () => {
          await Promise.all(this.endpoints.map((endpoint) => endpoint.drain(signal.signal)));
          await this.outbox?.close(signal.signal);
          if (this.outbox?.isConnected !== true) return;
          // Drained too: afterwards the server knows that nobody answers here any more.
          const open = this.controls.filter((control) => !control.isClosed());
          await Promise.all(open.map((control) => control.drain().catch(() => {})));
        },
      ).catch((error: unknown) =>
        this.logger.warn(`${this.name}: ${messageOf(error)}; what was under way is given up`),
      );
      signal.abort();
      await this.outbox?.close(signal.signal);
      for (const control of this.controls) if (!control.isClosed()) control.unsubscribe();
    }
    const service = this.name;
    this.settleStopped(
      reason === undefined
        ? undefined
        : toDiscoveryError(reason, 'BACKEND_UNAVAILABLE', `the service ${service} was stopped`, { service }),
    );
  }

  private async flush(): Promise<void> {
    try {
      await this.connection.flush();
    } catch (error) {
      // Between two connections: the library subscribes again with the next one.
      if (this.connection.isClosed()) {
        throw toDiscoveryError(error, 'BACKEND_CLOSED', `the service ${this.name} has no connection`, {
          service: this.name,
        });
      }
    }
  }

  private failed(error: unknown, endpoint: string, subject: string): void {
    const line = `${this.name}: ${endpoint === '' ? '' : `${endpoint}: `}${messageOf(error)}`;
    // What the caller did wrong is no warning here.
    if (error instanceof NatsServiceError && error.status < 500) this.logger.debug(line);
    else this.logger.warn(line);
    try {
      this.config.onError?.(error, { endpoint, subject });
    } catch (thrown) {
      this.logger.error(`${this.name}: onError threw: ${messageOf(thrown)}`);
    }
  }

  private now(): Date {
    return this.config.now?.() ?? new Date(this.clock.now());
  }

  private stateError(what: string): DiscoveryError {
    const stopped = this.state === 'stopped';
    const how = stopped ? 'a stopped service: make a new one' : 'a service that was not started: await start() first';
    const message = what === 'started' ? `can't start ${how}` : `Cannot add endpoint to ${how}`;
    return new DiscoveryError(stopped ? 'BACKEND_CLOSED' : 'UNSUPPORTED', message, { service: this.name });
  }
}

/** 22 random letters and digits. */
export function randomId(): string {
  // 62 of 256 values repeat unevenly: values above 247 are left out.
  let id = '';
  while (id.length < 22) for (const byte of randomBytes(32)) if (byte < 248 && id.length < 22) id += LETTERS[byte % 62];
  return id;
}
