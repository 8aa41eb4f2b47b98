/** Something that may go on for as long as the app runs. */
export interface Lasting {
  /** The app begins to stop: says so to both sides, if that can be said. */
  goAway?(): void;
  closeLasting(): void;
}

/** The sockets and event streams that an app has open at other services: closed when it stops. One for each app. */
export class LastingCalls {
  private readonly open = new Set<Lasting>();

  /** How many there are. */
  get count(): number {
    return this.open.size;
  }

  add(call: Lasting): void {
    this.open.add(call);
  }

  delete(call: Lasting): void {
    this.open.delete(call);
  }

  /** Says to those that can be told that the app stops. */
  goAway(): void {
    for (const call of this.open) call.goAway?.();
  }

  closeAll(): void {
    for (const call of this.open) call.closeLasting();
  }
}
