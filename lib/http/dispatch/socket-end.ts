import { errorMonitor } from 'node:events';
import type { Duplex } from 'node:stream';
import { FrameTrack } from './frame-track.js';

/** What a socket's error says when the other side has broken it off. */
const RESETS: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'ETIMEDOUT', 'EPIPE']);

/** What is known of a socket besides. */
export interface SocketWays {
  /** Of a WebSocket: whether a frame has closed it, by the time that it is closed. */
  readonly isClosing?: (() => boolean) | undefined;
  /** Whether this side had left when the other one ended, without having ended the socket. @default never */
  readonly hasLeft?: () => boolean;
}

/**
 * Tells how a socket ended that an answer has become. A WebSocket that ends without a frame that closes it was broken off (its code
 * is 1006); so was any socket that was reset. Whoever destroys it here has had enough, which says nothing of the instance.
 *
 * @param over told once, with what the other side broke it off by
 */
export function followSocket(
  socket: Duplex,
  { isClosing, hasLeft = () => false }: SocketWays,
  over: (brokenOffBy: Error | undefined) => void,
): void {
  let reset: Error | undefined;
  let isEnded = false;
  socket.once(errorMonitor, (error: NodeJS.ErrnoException) => {
    if (RESETS.has(error.code)) reset = error;
  });
  socket.prependListener('end', () => {
    // Who has destroyed or ended it himself isn't left behind.
    isEnded = !socket.writableEnded && !hasLeft();
  });
  socket.once('close', () => over(reset ?? (isEnded && isClosing?.() === false ? brokenOff() : undefined)));
}

/** Follows the frames that are written to a WebSocket. @returns whether one of them has closed it */
export function closingByWrites(socket: Duplex): () => boolean {
  const { write } = socket;
  const track = new FrameTrack();
  socket.write = (chunk: unknown, ...more: unknown[]): boolean => {
    if (chunk instanceof Uint8Array) track.take(chunk);
    return Reflect.apply(write, socket, [chunk, ...more]) as boolean;
  };
  return () => track.isClosing;
}

function brokenOff(): Error {
  return Object.assign(new Error('the WebSocket was not closed but broken off'), { code: 'ECONNRESET' });
}
