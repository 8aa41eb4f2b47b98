import type { ClientProxy, WritePacket } from '@nestjs/microservices';
import type { MessageAddress } from './message-address.js';
import { broken, unsent } from './message-error.js';

/** A message as it goes to an instance. */
export interface Packet {
  readonly pattern: unknown;
  readonly data: unknown;
  metadata?: Record<string, unknown>;
}

/** An answer, or one of several. */
export type Answer = WritePacket;

/** What of Nest's clients is used, of which a part is for those that extend them. */
interface Client {
  connect(): Promise<unknown>;
  close(): unknown;
  on(event: never, callback: never): void;
  unwrap(): unknown;
  publish(packet: Packet, callback: (answer: Answer) => void): () => void;
  dispatchEvent(packet: Packet): Promise<unknown>;
}

/** What a client of Nest's says when its connection is gone. */
const CLOSED = 'Connection closed';

/** The client of one instance: Nest's own. It connects when it is first used, and again after its connection broke. */
export class InstanceClient {
  private readonly client: Client;
  /** Calls that are under way. */
  private pending = 0;
  private isLeaving = false;

  /** @param client one of Nest's clients */
  constructor(
    readonly address: MessageAddress,
    client: ClientProxy,
  ) {
    this.client = client as unknown as Client;
  }

  /** @throws an error with a code that says that nothing was sent */
  async connect(): Promise<void> {
    try {
      await this.client.connect();
    } catch (error) {
      throw unsent((error as Error).message, error);
    }
  }

  /**
   * Sends a message whose answer is awaited. To be called as soon as it is connected.
   *
   * @param answer told of each answer; of a connection that broke, an error with a code
   * @returns forgets the call
   */
  send(packet: Packet, answer: (answer: Answer) => void): () => void {
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      this.ended();
    };
    this.pending += 1;
    const forget = this.client.publish(packet, (one) => {
      if (one.err !== undefined || one.isDisposed === true) over();
      answer(one.err instanceof Error ? { ...one, err: readable(one.err) } : one);
    });
    return () => {
      over();
      forget();
    };
  }

  /** Sends an event. @throws what kept it from being sent */
  async emit(packet: Packet): Promise<void> {
    this.pending += 1;
    try {
      await this.client.dispatchEvent(packet);
    } catch (error) {
      throw unsent((error as Error).message, error);
    } finally {
      this.ended();
    }
  }

  on(event: never, callback: never): void {
    this.client.on(event, callback);
  }

  unwrap(): unknown {
    return this.client.unwrap();
  }

  /** Closes it once its calls have ended. */
  leave(): void {
    this.isLeaving = true;
    if (this.pending === 0) this.close();
  }

  close(): void {
    this.client.close();
  }

  private ended(): void {
    this.pending -= 1;
    if (this.pending === 0 && this.isLeaving) this.close();
  }
}

/** An exception of the client's own is no answer of the instance. */
function readable(error: Error): Error {
  if (error.message === CLOSED) return broken(CLOSED, error);
  // The connection went between its being there and the message: the client had none to write to.
  if (error instanceof TypeError) return unsent('the connection was closed', error);
  return error;
}
