import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { textOf } from '../../backend/index.js';

/**
 * The text of a file that holds a secret, without the line feed at its end.
 * @throws Error whose message has nothing of what stands in the file
 */
export async function readSecretText(path: string, maxBytes: number): Promise<string> {
  // A pipe in the place of the file must not be waited for.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error('is no file');
    const buffer = Buffer.alloc(maxBytes + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > maxBytes) throw new Error(`is longer than ${maxBytes} bytes`);
    return toText(buffer.subarray(0, length)).replace(/\r?\n$/, '');
  } finally {
    await file.close();
  }
}

function toText(bytes: Uint8Array): string {
  const text = textOf(bytes);
  if (text === undefined) throw new Error('is no text in UTF-8');
  return text;
}
