import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { lt } from 'semver';
import { afterEach } from 'vitest';

export const PROTO = fileURLToPath(new URL('./hello.proto', import.meta.url));

/** Whether the grpc-js of this run, of which there are more than one (`npm run matrix`), is older than this version of it. */
export function isBefore(version: string): boolean {
  const own = createRequire(import.meta.url)('@grpc/grpc-js/package.json') as { readonly version: string };
  return lt(own.version, version);
}

export interface Text {
  readonly text: string;
}

export type Handler = (call: ServerUnaryCall<Text, Text>) => Promise<string> | string;

/** The client class of the greeter's service, of one copy of grpc-js. */
export function greeterClass(library: typeof grpc = grpc): ServiceClientConstructor {
  const loaded = library.loadPackageDefinition(loadSync(PROTO)) as unknown as {
    hello: { Greeter: ServiceClientConstructor };
  };
  return loaded.hello.Greeter;
}

const running: GreeterServer[] = [];

afterEach(() => {
  for (const server of running.splice(0)) server.kill();
});

/** A gRPC server that is no app of ours, and what it was asked. */
export class GreeterServer {
  /** What it was asked, by the method's name. */
  readonly asked: { readonly method: string; readonly metadata: Metadata }[] = [];
  /** Streams that are open. */
  readonly streams = new Set<ServerWritableStream<Text, Text> | ServerDuplexStream<Text, Text>>();
  readonly peers = new Set<string>();
  private server = new Server();
  port = 0;

  private constructor(
    readonly name: string,
    private answer: Handler,
  ) {}

  static async start(name: string, answer?: Handler, credentials?: ServerCredentials): Promise<GreeterServer> {
    const server = new GreeterServer(name, answer ?? (() => name));
    await server.listen(0, credentials);
    running.push(server);
    return server;
  }

  get calls(): number {
    return this.asked.length;
  }

  /** Answers in another way from now on. */
  answers(answer: Handler): void {
    this.answer = answer;
  }

  /** Ends it with its connections, as a process that is killed does. */
  kill(): void {
    this.server.forceShutdown();
  }

  /** Ends it when its calls have. */
  stop(): Promise<void> {
    return new Promise((resolve) => this.server.tryShutdown(() => resolve()));
  }

  /** Listens again where it did. */
  async restart(): Promise<void> {
    this.server = new Server();
    await this.listen(this.port);
  }

  private async listen(port: number, credentials = ServerCredentials.createInsecure()): Promise<void> {
    const unary = (method: string) => (call: ServerUnaryCall<Text, Text>, done: sendUnaryData<Text>) => {
      this.note(method, call);
      void this.answerTo(call, done);
    };
    this.server.addService(greeterClass().service, {
      Hello: unary('Hello'),
      Read: unary('Read'),
      Count: (call: ServerWritableStream<Text, Text>) => {
        this.note('Count', call);
        this.streams.add(call);
        call.on('close', () => this.streams.delete(call));
        call.write({ text: this.name });
      },
      Talk: (call: ServerDuplexStream<Text, Text>) => {
        this.note('Talk', call);
        call.on('data', ({ text }: Text) => call.write({ text: `${this.name} ${text}` }));
        call.on('end', () => call.end());
      },
    });
    this.port = await new Promise<number>((resolve, reject) => {
      this.server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
  }

  private note(method: string, call: { readonly metadata: Metadata; getPeer(): string }): void {
    this.asked.push({ method, metadata: call.metadata });
    this.peers.add(call.getPeer());
  }

  private async answerTo(call: ServerUnaryCall<Text, Text>, done: sendUnaryData<Text>): Promise<void> {
    try {
      done(null, { text: await this.answer(call) });
    } catch (error) {
      done({ code: status.UNKNOWN, ...(error as object) });
    }
  }
}

/** An answer of a status other than OK. */
export function failing(code: number, metadata = new Metadata()): Handler {
  return () => {
    throw Object.assign(new Error('failing'), { code, details: 'as told', metadata });
  };
}
