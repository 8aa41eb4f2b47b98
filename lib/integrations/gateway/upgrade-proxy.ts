import { request as httpRequest, ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../backend/index.js';
import { markUnsent, type HttpTransport, type LastingCalls, type ServiceCaller } from '../../http/index.js';
import { DiscoveryError, type ServiceInstance } from '../../model/index.js';
import type { HeaderList } from './header-list.js';
import { answerProblem, problemOf } from './problem.js';
import { ProxiedSocket } from './proxied-socket.js';
import type { ForwardBody } from './request-body.js';
import { hostFor, pathAt, requestHeaders, type RequestHeadPlan } from './request-head.js';
import type { Route } from './route.js';
import type { Destination, ProxyDefaults } from './service-proxy.js';

/** What an {@link UpgradeProxy} needs of its app. */
export interface UpgradeParts {
  readonly caller: ServiceCaller;
  readonly transport: HttpTransport;
  readonly clock: Clock;
  readonly lasting: LastingCalls;
  readonly defaults: ProxyDefaults;
}

/** What an instance answered to the request for an upgrade. */
type Answered = Upgraded | { readonly status: number; readonly answer: IncomingMessage; readonly socket?: undefined };

/** The instance has agreed. */
interface Upgraded {
  readonly status: 101;
  readonly answer: IncomingMessage;
  readonly socket: ProxiedSocket;
  /** What came with the head. */
  readonly head: Buffer;
}

/** An upgrade has no body. */
const NO_BODY: ForwardBody = {
  open: () => null,
  wasDecoded: false,
  isReplayable: () => true,
  isCallersFault: () => false,
  release: () => {},
};

/**
 * Passes WebSockets on: an instance is picked as for any request and another one tried when it can't be
 * reached; from then on bytes go both ways until one side ends.
 */
export class UpgradeProxy {
  constructor(private readonly parts: UpgradeParts) {}

  async pass(
    request: IncomingMessage,
    client: Duplex,
    head: Buffer,
    route: Route,
    destination: Destination,
  ): Promise<void> {
    const { service } = route;
    const signal = { aborted: false };
    let give: ((error: Error) => void) | undefined;
    const onGone = (): void => {
      signal.aborted = true;
      give?.(new Error('whoever asked has gone away'));
    };
    client.once('close', onGone);
    try {
      const answered = await this.parts.caller.carry(
        service,
        {
          method: 'GET',
          isReplayable: () => true,
          signal,
          endOf: (answered) => (answered as Answered).socket?.ended,
          context: route.options.hint === undefined ? {} : { hint: route.options.hint },
          header: (name) => {
            const value = request.headers[name.toLowerCase()];
            return typeof value === 'string' ? value : undefined;
          },
        },
        (instance, { basePath, timeLeft }) =>
          this.dial(
            request,
            client,
            instance,
            route,
            destination,
            basePath,
            timeLeft(route.options.timeoutMs),
            (cancel) => {
              give = cancel;
            },
          ),
      );
      if (answered.socket === undefined) await refuseAs(request, client, answered.answer);
      else this.join(client, head, answered);
    } catch (error) {
      if (client.destroyed) return;
      const response = new ServerResponse(request);
      response.assignSocket(client as Socket);
      response.once('finish', () => client.end());
      answerProblem(response, { ...problemOf(error, service), closes: true });
    } finally {
      client.off('close', onGone);
    }
  }

  private dial(
    request: IncomingMessage,
    client: Duplex,
    instance: ServiceInstance,
    route: Route,
    destination: Destination,
    basePath: string | undefined,
    timeoutMs: number,
    onCancel: (cancel: (error: Error) => void) => void,
  ): Promise<Answered> {
    const { defaults, clock, transport } = this.parts;
    const path = pathAt(basePath, destination.path);
    if (path === undefined) {
      const error = new DiscoveryError('INVALID_INSTANCE', `an instance of ${route.service} has a path that is none`);
      markUnsent(error);
      throw error;
    }
    const plan: RequestHeadPlan = {
      headers: defaults.forwardedHeaders,
      trusted: defaults.trusted,
      prefix: destination.prefix,
      host: route.options.host ?? defaults.options.host ?? 'service',
      changes: route.options.headers,
    };
    const headers: HeaderList = requestHeaders(request, NO_BODY, plan);
    headers.push('Host', hostFor(request, instance, plan));
    headers.push('Connection', 'Upgrade', 'Upgrade', 'websocket');
    const send = instance.scheme === 'https' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const outgoing = send({
        ...transport.tls,
        host: instance.host,
        port: instance.port,
        method: 'GET',
        path,
        headers: headers as unknown as Record<string, string>,
        agent: false,
      });
      const fail = (error: Error): void => {
        timer?.cancel();
        outgoing.destroy();
        reject(error);
      };
      const timer =
        timeoutMs === 0
          ? undefined
          : clock.setTimer(
              () => fail(Object.assign(new Error(`timeout of ${timeoutMs}ms exceeded`), { code: 'ECONNABORTED' })),
              timeoutMs,
            );
      onCancel(fail);
      outgoing.on('error', fail);
      outgoing.once('upgrade', (answer, socket, head) => {
        timer?.cancel();
        resolve({ status: 101, answer, socket: new ProxiedSocket(client, socket), head });
      });
      outgoing.once('response', (answer) => {
        timer?.cancel();
        resolve({ status: answer.statusCode ?? 502, answer });
      });
      outgoing.end();
    });
  }

  private join(client: Duplex, head: Buffer, { answer, socket, head: first }: Upgraded): void {
    const { rawHeaders } = answer;
    let text = `HTTP/1.1 101 ${STATUS_CODES[101]}\r\n`;
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
    client.write(Buffer.from(`${text}\r\n`, 'latin1'));
    const { lasting } = this.parts;
    lasting.add(socket);
    socket.join({ ofClient: head, ofInstance: first }, () => lasting.delete(socket));
  }
}

/** The answer of an instance that doesn't upgrade. */
function refuseAs(request: IncomingMessage, client: Duplex, answer: IncomingMessage): Promise<void> {
  const response = new ServerResponse(request);
  response.assignSocket(client as Socket);
  const skipped = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
    const name = answer.rawHeaders[i] ?? '';
    if (!skipped.has(name.toLowerCase())) response.appendHeader(name, answer.rawHeaders[i + 1] ?? '');
  }
  response.setHeader('connection', 'close');
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage);
  answer.on('error', () => client.destroy());
  answer.pipe(response);
  return new Promise((resolve) => {
    response.once('finish', () => client.end());
    client.once('close', () => resolve());
  });
}
