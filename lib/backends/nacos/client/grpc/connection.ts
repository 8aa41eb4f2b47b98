import type { Client, ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { sleep } from '../../../../backend/index.js';
import { DiscoveryError, messageOf, printable } from '../../../../model/index.js';
import type { Environment } from '../environment.js';
import { NacosError, unavailable } from '../errors.js';
import { flagAt, isObject, numberAt, textAt, type Json } from '../json.js';
import { decodePayload, encodePayload, type Payload } from './wire.js';

/** The gRPC package, once it is loaded. */
export type GrpcModule = typeof import('@grpc/grpc-js');

/** An answer or a push: the name of the message, and its JSON. */
export interface Message {
  readonly type: string;
  readonly body: Json;
}

/** What a connection needs to be made. */
export interface RpcConnectionOptions {
  readonly grpc: GrpcModule;
  readonly env: Environment;
  /** `host:port` */
  readonly target: string;
  readonly credentials: import('@grpc/grpc-js').ChannelCredentials;
  readonly channelOptions: Readonly<Record<string, string | number>>;
  readonly clientIp: string;
  readonly setup: Json;
  readonly timeoutMs: number;
  /** How long the server may take to negotiate abilities, in milliseconds. */
  readonly negotiationTimeoutMs: number;
  /**
   * Pushes, in the order in which they came, the first ones perhaps before the connection is open; `send` writes the
   * acknowledgement. Must not throw.
   */
  readonly onPush: (message: Message, send: (type: string, body: Json) => void) => void;
  /** Told once, when the connection can't be used any more. */
  readonly onLost: (error: DiscoveryError) => void;
}

const UNARY = '/Request/request';
const STREAM = '/BiRequestStream/requestBiStream';

/**
 * One TCP connection to one server: requests and the stream of pushes both run over it, since the server knows the
 * client by its connection.
 */
export class RpcConnection {
  readonly openedAt: number;
  /** What the server said it can do; empty for servers before 2.3. */
  abilities: Json = {};
  private readonly client: Client;
  private readonly stream: ClientDuplexStream<Payload, Payload>;
  private lost: DiscoveryError | undefined;
  private closed = false;
  private acknowledged: () => void = () => {};

  /**
   * Connects, checks the server, opens the stream and introduces itself.
   *
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` when the server can't be used now
   */
  static async open(options: RpcConnectionOptions, signal: AbortSignal): Promise<RpcConnection> {
    const { grpc, target, credentials, channelOptions } = options;
    const client = new grpc.Client(target, credentials, channelOptions);
    try {
      const check = await checkServer(options, client, signal);
      const connection = new RpcConnection(options, client);
      await connection.introduce(flagAt(check, 'supportAbilityNegotiation') === true, signal);
      return connection;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  private constructor(
    private readonly options: RpcConnectionOptions,
    client: Client,
  ) {
    this.client = client;
    this.openedAt = options.env.clock.now();
    const metadata = new options.grpc.Metadata();
    this.stream = client.makeBidiStreamRequest(STREAM, encodePayload, decodePayload, metadata);
    this.stream.on('data', (payload: Payload) => this.received(payload));
    // It stays attached for good: an error event without a listener would end the process.
    this.stream.on('error', (error: Error) => this.fail(error));
    this.stream.on('end', () => this.fail(new Error('the server ended the stream')));
  }

  /**
   * Sends a request over this connection.
   *
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` without an answer, `ABORTED`; {@link NacosError} for an answer that is
   * an error
   */
  async request(type: string, body: Json, headers: Record<string, string>, timeoutMs: number, signal?: AbortSignal) {
    if (this.lost !== undefined) throw this.lost;
    return unary(this.options, this.client, { type, body, headers }, timeoutMs, signal);
  }

  /** Declares it unusable; the owner is told once. */
  fail(error: unknown): void {
    if (this.closed || this.lost !== undefined) return;
    this.lost = unavailable(`the connection to ${this.options.target} was lost`, error);
    this.options.onLost(this.lost);
  }

  /** Ends it, without a word to the owner. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.lost ??= new DiscoveryError('BACKEND_UNAVAILABLE', `the connection to ${this.options.target} was closed`);
    this.stream.cancel();
    this.client.close();
  }

  private async introduce(negotiates: boolean, signal: AbortSignal): Promise<void> {
    const { env, setup, clientIp, negotiationTimeoutMs, target } = this.options;
    try {
      const acknowledged = new Promise<'acknowledged'>((resolve) => {
        this.acknowledged = () => resolve('acknowledged');
      });
      this.stream.write(toPayload(clientIp, 'ConnectionSetupRequest', setup, {}));
      if (negotiates) {
        const waiting = new AbortController();
        const timeout = sleep(env.clock, negotiationTimeoutMs, AbortSignal.any([signal, waiting.signal]));
        const result = await Promise.race([acknowledged, timeout, this.untilLost(waiting.signal)]);
        waiting.abort();
        if (result !== 'acknowledged' && this.lost === undefined) {
          throw new DiscoveryError('BACKEND_UNAVAILABLE', `${target} accepted the connection and then said nothing`);
        }
      } else {
        // The server confirms nothing, and refuses what comes before it has taken the introduction in.
        await sleep(env.clock, 100, signal);
      }
      if (signal.aborted) throw new DiscoveryError('ABORTED', `connecting to ${target} was aborted`);
      if (this.lost !== undefined) throw this.lost;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  private async untilLost(signal: AbortSignal): Promise<void> {
    // The stream fails at most once, so this is no loop: it resolves with the first failure or with the signal.
    await new Promise<void>((resolve) => {
      this.stream.once('error', () => resolve());
      this.stream.once('end', () => resolve());
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  private received(payload: Payload): void {
    const { type } = payload;
    const body = parseBody(payload);
    if (body === undefined) {
      this.options.env.report({
        type: 'record.skipped',
        backend: this.options.env.backend,
        record: `push ${type}`,
        error: new DiscoveryError('INVALID_INSTANCE', `a push of the server was no JSON object`, { field: type }),
      });
      return;
    }
    if (type === 'SetupAckRequest') {
      const table = body['abilityTable'];
      if (isObject(table)) this.abilities = table;
      this.acknowledged();
      return;
    }
    this.options.onPush({ type, body }, (answer, more) => {
      if (this.closed || this.lost !== undefined) return;
      this.stream.write(toPayload(this.options.clientIp, answer, more, {}));
    });
  }
}

async function checkServer(options: RpcConnectionOptions, client: Client, signal: AbortSignal): Promise<Json> {
  const { env, timeoutMs, target } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const message = { type: 'ServerCheckRequest', body: { headers: {}, module: 'internal' }, headers: {} };
      const answer = await unary(options, client, message, timeoutMs, signal);
      if (answer.type !== 'ServerCheckResponse') {
        throw new DiscoveryError('BACKEND_UNAVAILABLE', `${target} is no Nacos server: it answered ${answer.type}`);
      }
      return answer.body;
    } catch (error) {
      const starting = error instanceof NacosError && error.status >= 300 && error.status < 400;
      if (error instanceof DiscoveryError && error.code === 'ABORTED') throw error;
      if (!starting || attempt >= 4) throw unavailable(`${target} can't be used`, error);
      if (!(await sleep(env.clock, 1000, signal))) throw error;
    }
  }
}

interface Outgoing {
  readonly type: string;
  readonly body: Json;
  readonly headers: Readonly<Record<string, string>>;
}

function unary(
  options: RpcConnectionOptions,
  client: Client,
  message: Outgoing,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Message> {
  const { grpc, env, target, clientIp } = options;
  if (signal?.aborted === true) return Promise.reject(new DiscoveryError('ABORTED', `${message.type} was aborted`));
  return new Promise((resolve, reject) => {
    // The deadline is the clock's, so that tests can move it; gRPC's own is a net below it.
    const timer = env.clock.setTimer(() => {
      settle(() =>
        reject(
          new DiscoveryError('BACKEND_UNAVAILABLE', `${target} did not answer ${message.type} within ${timeoutMs} ms`),
        ),
      );
      call.cancel();
    }, timeoutMs);
    const onAbort = (): void => {
      settle(() => reject(new DiscoveryError('ABORTED', `${message.type} was aborted`)));
      call.cancel();
    };
    let settled = false;
    const debug = (line: string): void => env.logger.debug(printable(`${env.backend}: ${said} to ${target}: ${line}`));
    const said = `${message.type}${subjectOf(message.body)}`;
    const settle = (how: () => void): void => {
      if (settled) return;
      settled = true;
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      how();
    };
    const payload = toPayload(clientIp, message.type, message.body, message.headers);
    const onAnswer = (error: ServiceError | null, answer?: Payload): void => {
      settle(() => {
        if (error !== null || answer === undefined) {
          debug(messageOf(error ?? 'no answer'));
          reject(unavailable(`${target} did not answer ${message.type}`, error ?? new Error('no answer')));
          return;
        }
        try {
          const read = toMessage(answer, message.type);
          debug(`${answer.type}, ${answer.body.length} bytes`);
          resolve(read);
        } catch (problem) {
          debug(messageOf(problem));
          reject(problem instanceof Error ? problem : new Error(String(problem)));
        }
      });
    };
    const call = client.makeUnaryRequest(
      UNARY,
      encodePayload,
      decodePayload,
      payload,
      new grpc.Metadata(),
      {},
      onAnswer,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** What a request is about, for people: never its content. */
function subjectOf(body: Json): string {
  const subject = textAt(body, 'dataId') ?? textAt(body, 'serviceName');
  return subject === undefined ? '' : ` of ${subject}`;
}

function toPayload(clientIp: string, type: string, body: Json, headers: Readonly<Record<string, string>>): Payload {
  return { type, clientIp, headers, body: Buffer.from(JSON.stringify(body)) };
}

/** The message in an answer; throws what the answer is an error about. */
function toMessage(payload: Payload, request: string): Message {
  const body = parseBody(payload);
  if (body === undefined) {
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `the answer to ${request} was no JSON object`);
  }
  const result = numberAt(body, 'resultCode') ?? 200;
  if (payload.type === 'ErrorResponse' || result !== 200) {
    const status = numberAt(body, 'errorCode') ?? 0;
    const said = textAt(body, 'message') ?? 'no reason given';
    const number = status === 0 ? result : status;
    throw new NacosError(number, `${request}: ${said} (${number})`, {}, payload.type);
  }
  return { type: payload.type, body };
}

function parseBody(payload: Payload): Json | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(payload.body).toString('utf8'));
    return isObject(json) ? json : undefined;
  } catch (error) {
    // An empty body stands for an object without fields.
    return payload.body.length === 0 && messageOf(error) !== '' ? {} : undefined;
  }
}
