import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { followSocket, FrameTrack, type Lasting } from '../../http/index.js';

/** "Going away" (RFC 6455, 7.4.1). */
const GOING_AWAY = Buffer.from([0x03, 0xe9]);

const NOTHING = Buffer.alloc(0);

/** Two sockets that a handshake has made one WebSocket: bytes go both ways until one side ends. */
export class ProxiedSocket implements Lasting {
  /** Resolves when the instance's side is closed, with what that was broken off by if it was. */
  readonly ended: Promise<Error | undefined>;
  private readonly ofClient = new FrameTrack();
  private readonly ofInstance = new FrameTrack();
  private isGoing = false;

  /**
   * @param instance the instance's side
   */
  constructor(
    private readonly client: Duplex,
    private readonly instance: Socket,
  ) {
    // From now on: the other side may break it off before they are joined.
    for (const side of [client, instance]) side.on('error', () => {});
    const isClosing = (): boolean => this.ofClient.isClosing || this.ofInstance.isClosing;
    this.ended = new Promise((resolve) =>
      followSocket(instance, { isClosing, hasLeft: () => client.destroyed }, (brokenOffBy) =>
        resolve(this.isGoing ? undefined : brokenOffBy),
      ),
    );
  }

  /** @param early what both sides have sent already. @param over called when one of them is closed */
  join(early: { readonly ofClient: Buffer; readonly ofInstance: Buffer }, over: () => void): void {
    const { client, instance } = this;
    const sides = [
      [client, instance, this.ofClient, early.ofClient],
      [instance, client, this.ofInstance, early.ofInstance],
    ] as const;
    for (const [one, other, track, first] of sides) {
      if ('setTimeout' in one) one.setTimeout(0).setNoDelay(true).setKeepAlive(true, 30_000);
      one.once('close', () => {
        over();
        // Of two that were told that the app goes, each may say its last words.
        if (!this.isGoing) other.destroy();
      });
      if (first.length > 0) {
        track.take(first);
        other.write(first);
      }
      one.on('data', (piece: Buffer) => track.take(piece));
      one.pipe(other);
    }
    if (client.destroyed) instance.destroy();
  }

  /** Closes a WebSocket on both sides with 1001, so that whoever asked opens another one, at another gateway, at once. */
  goAway(): void {
    if (this.isGoing) return;
    const { client, instance, ofClient, ofInstance } = this;
    // Nothing can be said in the middle of a frame: it ends with the app's last connections.
    if (!ofInstance.isBetween || !ofClient.isBetween) return;
    this.isGoing = true;
    client.unpipe(instance).resume();
    instance.unpipe(client).resume();
    client.end(ofInstance.isClosing ? NOTHING : closeFrame(false));
    instance.end(ofClient.isClosing ? NOTHING : closeFrame(true));
  }

  closeLasting(): void {
    this.client.destroy();
    this.instance.destroy();
  }
}

/** @param isMasked as what goes to a server must be */
function closeFrame(isMasked: boolean): Buffer {
  if (!isMasked) return Buffer.from([0x88, GOING_AWAY.length, ...GOING_AWAY]);
  const mask = randomBytes(4);
  const payload = GOING_AWAY.map((byte, at) => byte ^ (mask[at] ?? 0));
  return Buffer.from([0x88, 0x80 | payload.length, ...mask, ...payload]);
}
