import { expect, test } from 'vitest';
import { FrameTrack } from '../../../../lib/http/dispatch/frame-track.js';

function frame(operation: number, length: number, isMasked: boolean): Buffer {
  const mask = isMasked ? 0x80 : 0;
  const head =
    length < 126
      ? Buffer.from([0x80 | operation, mask | length])
      : length < 65_536
        ? Buffer.from([0x80 | operation, mask | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([0x80 | operation, mask | 127, 0, 0, 0, 0]), lengthOf(length)]);
  // A payload that looks like the head of a frame that closes.
  return Buffer.concat([head, Buffer.alloc(isMasked ? 4 : 0, 0x88), Buffer.alloc(length, 0x88)]);
}

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

test('frames of every length, with and without a mask, cut anywhere: the end of each, and what closes', () => {
  const frames = [0, 1, 125, 126, 127, 65_535, 65_536].flatMap((length) => [
    frame(2, length, false),
    frame(1, length, true),
  ]);
  for (const cut of [1, 2, 3, 7, 4096, 1_000_000]) {
    const track = new FrameTrack();
    let wrong = 0;
    for (const one of frames) {
      for (let at = 0; at < one.length; at += cut) {
        const piece = one.subarray(at, at + cut);
        track.take(piece);
        if (track.isBetween !== (at + piece.length === one.length)) wrong += 1;
      }
    }
    expect({ wrong, isClosing: track.isClosing }).toEqual({ wrong: 0, isClosing: false });
    track.take(frame(8, 2, true).subarray(0, 3));
    expect(track.isBetween).toBe(false);
    track.take(frame(8, 2, true).subarray(3));
    expect(track).toMatchObject({ isBetween: true, isClosing: true });
  }
});
