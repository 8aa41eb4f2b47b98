import { errorMonitor } from 'node:events';
import type { Duplex } from 'node:stream';

/** The operation by which a frame of a WebSocket closes it (RFC 6455, 5.5.1). */
const CLOSE = 0x8;

/**
 * Tells how a socket ended that an answer has become. A WebSocket whose caller has said nothing of closing it, neither by himself nor
 * in answer to the server, was broken off (its code is 1006); so was any socket that was reset. Whoever destroys it here has had
 * enough, which says nothing of the instance.
 *
 * @param isWebSocket whether it speaks frames, of which callers write each as a whole
 * @param over told once
 */
export function followSocket(socket: Duplex, isWebSocket: boolean, over: (isBroken: boolean) => void): void {
  let isClosing = false;
  let isReset = false;
  let isEnded = false;
  const { write } = socket;
  if (isWebSocket) {
    socket.write = (chunk: unknown, ...more: unknown[]): boolean => {
      if (chunk instanceof Uint8Array && ((chunk[0] ?? 0) & 0x0f) === CLOSE) isClosing = true;
      return Reflect.apply(write, socket, [chunk, ...more]) as boolean;
    };
  }
  socket.once(errorMonitor, ({ code }: NodeJS.ErrnoException) => {
    isReset = code === 'ECONNRESET' || code === 'ETIMEDOUT' || code === 'EPIPE';
  });
  socket.prependListener('end', () => {
    // Who has destroyed or ended it himself isn't left.
    isEnded = !socket.writableEnded;
  });
  socket.once('close', () => over(isReset || (isWebSocket && isEnded && !isClosing)));
}
