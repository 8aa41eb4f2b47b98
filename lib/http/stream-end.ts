import { Readable } from 'node:stream';

/**
 * When an answer that is read as a stream has ended, with what it broke off by; whoever has read enough of it lets it end well.
 * Undefined for an answer that is no stream.
 */
export function endOfStream(answer: unknown): Promise<unknown> | undefined {
  const data: unknown = (answer as { readonly data?: unknown } | undefined)?.data;
  if (!(data instanceof Readable)) return undefined;
  // A listener of its errors would hide them from whom they are meant for.
  return new Promise((resolve) => data.once('close', () => resolve(data.errored ?? undefined)));
}
