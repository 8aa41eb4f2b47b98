/**
 * What this wing needs of a connection: the part that connections of `nats` 2 and of `@nats-io/transport-node` 3 have in
 * common. Either fits as it comes; no type of theirs appears in ours.
 */
export interface NatsConnection {
  /** What the server said of itself; undefined while disconnected. */
  readonly info?: NatsServerInfo | undefined;
  publish(subject: string, payload?: Uint8Array, options?: { reply?: string; headers?: unknown }): void;
  subscribe(
    subject: string,
    options?: {
      queue?: string;
      max?: number;
      callback?: (error: Error | null, message: NatsRawMessage) => void;
    },
  ): NatsSubscription;
  request(
    subject: string,
    payload?: Uint8Array,
    options?: { timeout: number; headers?: unknown },
  ): Promise<NatsRawMessage>;
  /** Resolves when the server has got everything that was sent. */
  flush(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
  /** Resolves when the connection is closed for good, with the reason if there is one. */
  closed(): Promise<void | Error>;
  isClosed(): boolean;
  isDraining(): boolean;
  status(): AsyncIterable<{ readonly type: string }>;
}

/** The fields of a server's INFO that are used here. */
export interface NatsServerInfo {
  readonly version: string;
  readonly max_payload: number;
  readonly server_name: string;
}

/** A message as it was received. */
export interface NatsRawMessage {
  readonly subject: string;
  readonly reply?: string | undefined;
  readonly data: Uint8Array;
  readonly headers?: NatsMessageHeaders | undefined;
}

/** Headers of a message that was received. */
export interface NatsMessageHeaders {
  /** Status of the server's own messages, as 503; else 0. */
  readonly code: number;
  readonly description: string;
  keys(): string[];
  values(key: string): string[];
}

/** A subscription. */
export interface NatsSubscription {
  unsubscribe(): void;
  /** No further messages; resolves when those that were sent already have been delivered. */
  drain(): Promise<void>;
  isClosed(): boolean;
}
