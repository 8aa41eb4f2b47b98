import type { Server } from 'node:http';
import type { Clock } from '../backend/index.js';

/** Counts the requests that a Node HTTP server is answering, so that a shutdown can wait for them. */
export class RequestsInFlight {
  private running = 0;
  private draining = false;
  private idle: (() => void)[] = [];

  /** @param onRefusal told when the server answers 503 while it is being taken out of service */
  constructor(private readonly onRefusal: () => void = () => {}) {}

  /** Begins to count the requests of a server. */
  watch(server: Server): void {
    server.prependListener('request', (_request, response) => {
      this.running += 1;
      // From now on every answer asks its client to open a new connection, which will go to somebody else.
      if (this.draining && !response.headersSent) response.setHeader('connection', 'close');
      response.once('close', () => {
        this.running -= 1;
        if (this.draining && response.statusCode === 503) this.onRefusal();
        if (this.running === 0) for (const tell of this.idle.splice(0)) tell();
      });
    });
  }

  /** How many requests are being answered. */
  get count(): number {
    return this.running;
  }

  /** Answers close their connections from now on. */
  drain(): void {
    this.draining = true;
  }

  /** Resolves with true when no request is being answered, or with false after `timeoutMs`. */
  whenIdle(clock: Clock, timeoutMs: number): Promise<boolean> {
    if (this.running === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = clock.setTimer(() => resolve(false), timeoutMs);
      this.idle.push(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }
}
