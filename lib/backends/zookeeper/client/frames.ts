/** A longer frame is no answer of a ZooKeeper server, whose own limit is about 1 MiB unless it was raised. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

const NO_BYTES = Buffer.alloc(0);

/**
 * Cuts a stream of bytes into ZooKeeper's frames: four bytes of length, then that many bytes.
 */
export class FrameReader {
  private chunks: Buffer[] = [];
  private length = 0;
  /** Bytes without which there is nothing to do. */
  private needed = 4;

  /**
   * Takes a chunk and hands out every frame that is complete, with its length in front.
   *
   * @throws Error for a length that no frame can have
   */
  push(chunk: Buffer, take: (frame: Buffer) => boolean): void {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length < this.needed) return;
    const data = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks, this.length);
    let offset = 0;
    this.needed = 4;
    while (data.length - offset >= 4) {
      const size = data.readInt32BE(offset);
      if (size < 0 || size > MAX_FRAME_BYTES) throw new Error(`a frame of ${size} bytes`);
      if (data.length - offset - 4 < size) {
        this.needed = size + 4;
        break;
      }
      const frame = data.subarray(offset, offset + 4 + size);
      offset += 4 + size;
      if (!take(frame)) {
        offset = data.length;
        break;
      }
    }
    const rest = offset === data.length ? NO_BYTES : data.subarray(offset);
    this.chunks = rest.length === 0 ? [] : [rest];
    this.length = rest.length;
  }
}
