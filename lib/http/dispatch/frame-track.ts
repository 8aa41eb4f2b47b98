/** The operation by which a frame closes a WebSocket (RFC 6455, 5.5.1). */
const CLOSE = 0x8;

/** The longest head of a frame: two bytes, a length of eight, a mask of four. */
const MAX_HEAD = 14;

/**
 * Follows the frames of a WebSocket in one direction (RFC 6455, 5.2), however they are cut into pieces: whether it is between two
 * of them, where another one may be put in, and whether one has closed it. Looks at heads only.
 */
export class FrameTrack {
  /** A frame that closes has begun. */
  isClosing = false;
  /** What is still to come of a frame's payload. */
  private left = 0;
  private readonly head = Buffer.alloc(MAX_HEAD);
  private have = 0;

  /** Whether what came last has ended a frame. */
  get isBetween(): boolean {
    return this.left === 0 && this.have === 0;
  }

  take(piece: Uint8Array): void {
    for (let at = 0; at < piece.length;) {
      if (this.left > 0) {
        const skipped = Math.min(this.left, piece.length - at);
        this.left -= skipped;
        at += skipped;
        continue;
      }
      this.head[this.have] = piece[at] ?? 0;
      this.have += 1;
      at += 1;
      if (this.have < this.headLength()) continue;
      this.left = this.payloadLength();
      this.have = 0;
      if (((this.head[0] ?? 0) & 0x0f) === CLOSE) this.isClosing = true;
    }
  }

  private headLength(): number {
    if (this.have < 2) return 2;
    const second = this.head[1] ?? 0;
    const length = second & 0x7f;
    return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4);
  }

  private payloadLength(): number {
    const length = (this.head[1] ?? 0) & 0x7f;
    if (length === 126) return this.head.readUInt16BE(2);
    return length === 127 ? Number(this.head.readBigUInt64BE(2)) : length;
  }
}
