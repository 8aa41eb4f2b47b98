import { toDiscoveryError } from '../../../../model/index.js';
import type { Environment } from '../environment.js';
import { numberAt, textAt, type Json } from '../json.js';
import type { Message } from './connection.js';

/** Answers a push; what it returns is sent back as the acknowledgement. */
export type PushHandler = (body: Json) => { readonly type: string; readonly body?: Json } | undefined;

/** Answers what the server pushes. */
export class RpcPushes {
  private readonly handlers = new Map<string, PushHandler>();

  constructor(
    private readonly env: Environment,
    /** The server asks us to go elsewhere: to a certain host (and HTTP port), or anywhere for ''. */
    private readonly redirected: (host: string, port: number | undefined) => void,
  ) {}

  /** Sets what answers pushes of a type. */
  on(type: string, handler: PushHandler): void {
    this.handlers.set(type, handler);
  }

  /** Deals with a push. Never throws: whatever the server sent, the stream goes on. */
  receive({ type, body }: Message, send: (type: string, body: Json) => void): void {
    const requestId = textAt(body, 'requestId') ?? String(numberAt(body, 'requestId') ?? '');
    const acknowledge = (answer: string, more: Json = {}): void => {
      send(answer, { ...more, resultCode: 200, errorCode: 0, success: true, requestId });
    };
    switch (type) {
      case 'ClientDetectionRequest':
        return acknowledge('ClientDetectionResponse');
      case 'ConnectResetRequest':
        acknowledge('ConnectResetResponse');
        return this.redirected(textAt(body, 'serverIp') ?? '', numberAt(body, 'serverPort'));
      case 'ClientConfigMetricRequest':
        return acknowledge('ClientConfigMetricResponse', { metrics: {} });
      default: {
        const handler = this.handlers.get(type);
        if (handler === undefined) {
          // Not acknowledged: the server only notes a time-out, and knows what it is talking to.
          this.env.logger.debug(`${this.env.backend}: a push of unknown type ${JSON.stringify(type.slice(0, 80))}`);
          return;
        }
        const answer = this.handle(type, handler, body);
        if (answer !== undefined) acknowledge(answer.type, answer.body);
      }
    }
  }

  private handle(type: string, handler: PushHandler, body: Json): ReturnType<PushHandler> {
    try {
      return handler(body);
    } catch (error) {
      this.env.report({
        type: 'record.skipped',
        backend: this.env.backend,
        record: `push ${type}`,
        error: toDiscoveryError(error, 'INVALID_INSTANCE', 'a push of the server was malformed'),
      });
      return undefined;
    }
  }
}
