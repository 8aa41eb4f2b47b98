import type { AxiosProgressEvent } from 'axios';

/** How often a listener is told at most. */
const PER_SECOND = 3;

/** No rate is told before there was this much time to measure it in. */
const FIRST_RATE_MS = 250;

/**
 * Tells a progress listener of axios's how far a body is: at once, then at most three times a second, and once more at
 * the end. The listener runs outside of the transport's own work; what it throws is an uncaught exception, as in axios.
 */
export class Progress {
  private loaded = 0;
  private told = 0;
  private lastTellAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly startedAt = Date.now();

  /** @param total bytes that will come; undefined when nobody knows */
  constructor(
    private readonly listener: (event: AxiosProgressEvent) => void,
    private readonly direction: 'upload' | 'download',
    private readonly total: number | undefined,
  ) {}

  /** So many bytes more went by. */
  add(bytes: number): void {
    this.loaded += bytes;
    const wait = this.lastTellAt + 1000 / PER_SECOND - Date.now();
    if (wait <= 0) this.tell();
    else this.timer ??= setTimeout(() => this.tell(), wait).unref();
  }

  /** No more will come: tells what wasn't told. */
  end(): void {
    if (this.timer !== undefined) this.tell();
  }

  private tell(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lastTellAt = Date.now();
    const { total, direction, listener } = this;
    const loaded = total === undefined ? this.loaded : Math.min(this.loaded, total);
    const bytes = loaded - this.told;
    this.told = loaded;
    const passed = this.lastTellAt - this.startedAt;
    const rate = passed < FIRST_RATE_MS || loaded === 0 ? undefined : Math.round((loaded * 1000) / passed);
    const event: AxiosProgressEvent = {
      loaded,
      total,
      progress: total === undefined || total === 0 ? undefined : loaded / total,
      bytes,
      rate,
      estimated: rate === undefined || total === undefined ? undefined : (total - loaded) / rate,
      event: { lengthComputable: total !== undefined, total, loaded },
      lengthComputable: total !== undefined,
      [direction]: true,
    } as AxiosProgressEvent;
    process.nextTick(() => listener(event));
  }
}
