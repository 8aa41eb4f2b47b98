import { createServer, type IncomingHttpHeaders, type Server as HttpServer } from 'node:http';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { decodePayload, encodePayload, type Payload } from '../../../lib/backends/nacos/client/grpc/wire.js';

/** What it answers to a request. */
export type Answer = { readonly type: string; readonly body: unknown; readonly raw?: Buffer } | 'silence';

/** A request to the HTTP API. */
export interface HttpSeen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server that answers as it is told: for bad input only, never as a proof that anything works. */
export class Hostile {
  readonly requests: { readonly type: string; readonly headers: Readonly<Record<string, string>> }[] = [];
  readonly streamed: Payload[] = [];
  readonly logins: string[] = [];
  readonly http: HttpSeen[] = [];
  streams: ServerDuplexStream<Payload, Payload>[] = [];
  answer: (type: string, body: Record<string, unknown>) => Answer | undefined = () => undefined;
  login: () => { status: number; text: string } = () => ({ status: 200, text: '{"accessToken":"T","tokenTtl":18000}' });
  /** What the HTTP API answers. */
  page: (url: string) => { status: number; text: string } = () => ({ status: 200, text: 'true' });
  /** Told of every stream, before anything came over it. */
  opened: (send: (type: string, body: unknown) => void) => void = () => {};

  private constructor(
    private readonly grpc: Server,
    private readonly web: HttpServer,
    readonly port: number,
  ) {}

  static async start(): Promise<Hostile> {
    for (let attempt = 0; ; attempt += 1) {
      const http = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => void chunks.push(chunk));
        request.on('end', () => {
          const { method = '', url = '', headers } = request;
          made.http.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
          const login = url.includes('/auth/');
          if (login) made.logins.push(url);
          const { status, text } = login ? made.login() : made.page(url);
          response.writeHead(status).end(text);
        });
      });
      await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
      const { port } = http.address() as { port: number };
      const grpc = new Server();
      const made = new Hostile(grpc, http, port);
      made.serve();
      try {
        if (port + 1000 > 65_535) throw new Error('no gRPC port');
        await new Promise<void>((resolve, reject) => {
          grpc.bindAsync(`127.0.0.1:${port + 1000}`, ServerCredentials.createInsecure(), (error) =>
            error === null ? resolve() : reject(error),
          );
        });
        return made;
      } catch (error) {
        http.close();
        if (attempt > 20) throw error;
      }
    }
  }

  push(type: string, body: unknown): void {
    for (const stream of this.streams) stream.write(toPayload(type, body));
  }

  async close(): Promise<void> {
    this.grpc.forceShutdown();
    this.web.closeAllConnections();
    await new Promise((resolve) => this.web.close(resolve));
  }

  private serve(): void {
    const wire = {
      requestSerialize: encodePayload,
      requestDeserialize: decodePayload,
      responseSerialize: (payload: Payload & { raw?: Buffer }) => payload.raw ?? encodePayload(payload),
      responseDeserialize: decodePayload,
    };
    this.grpc.addService(
      { request: { path: '/Request/request', requestStream: false, responseStream: false, ...wire } },
      {
        request: (call: ServerUnaryCall<Payload, Payload>, reply: sendUnaryData<Payload & { raw?: Buffer }>) => {
          const { type, headers, body } = call.request;
          this.requests.push({ type, headers });
          const parsed = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
          const answer = this.answer(type, parsed) ?? usual(type);
          if (answer === 'silence') return;
          const bytes = Buffer.from(JSON.stringify(answer.body));
          reply(null, {
            type: answer.type,
            clientIp: '',
            headers: {},
            body: bytes,
            ...(answer.raw === undefined ? {} : { raw: answer.raw }),
          });
        },
      },
    );
    this.grpc.addService(
      { stream: { path: '/BiRequestStream/requestBiStream', requestStream: true, responseStream: true, ...wire } },
      {
        stream: (stream: ServerDuplexStream<Payload, Payload>) => {
          this.streams.push(stream);
          this.opened((type, body) => void stream.write(toPayload(type, body)));
          stream.on('data', (payload: Payload) => void this.streamed.push(payload));
          stream.on('error', () => {});
          stream.on('end', () => {
            this.streams = this.streams.filter((one) => one !== stream);
            stream.end();
          });
        },
      },
    );
  }
}

function toPayload(type: string, body: unknown): Payload {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  return { type, clientIp: '', headers: {}, body: bytes };
}

function usual(type: string): Answer {
  const base = { resultCode: 200, errorCode: 0 };
  const serviceInfo = { name: 's', groupName: 'DEFAULT_GROUP', hosts: [], lastRefTime: 1 };
  if (type === 'ServerCheckRequest') return { type: 'ServerCheckResponse', body: { ...base, connectionId: '1' } };
  return { type: type.replace('Request', 'Response'), body: { ...base, serviceInfo, changedConfigs: [] } };
}

/** No right. */
export const refused = { type: 'ErrorResponse', body: { resultCode: 500, errorCode: 403, message: 'no right' } };
