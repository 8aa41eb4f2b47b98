import { toDiscoveryError, type DiscoveryError } from '../../model/index.js';
import { PeriodicTask } from '../machinery/periodic-task.js';
import type { Clock } from '../port/clock.js';

/** How often a server that doesn't answer is asked whether it is there. */
const PROBE_RETRY = { initialMs: 500, maxMs: 5000 };

/** The longest that a timer can wait, in milliseconds. */
const NEVER_MS = 2 ** 31 - 1;

/** What a backend knows of its product's health besides what its drivers tell. */
export interface HealthHooks {
  /** A question that any server can answer, asked while nobody else knows how it is. */
  readonly probe?: {
    ask(signal: AbortSignal): Promise<void>;
    timeoutMs(): number;
    /** Asked this often too while all is well, for what only it finds out, in milliseconds. @default never */
    readonly everyMs?: number;
  };
  /** Whether an error means that nothing came back at all. @default `BACKEND_UNAVAILABLE` and `TIMEOUT` */
  isSilence?(error: DiscoveryError): boolean;
  /** Something that the server was silent to was answered again. */
  onBack?(): void;
}

/** What {@link Health} needs. */
export interface HealthOptions {
  /** Name of the backend. */
  readonly backend: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly hooks: () => HealthHooks;
  /** Shows a new state: well, or why not. */
  readonly show: (reason: DiscoveryError | undefined) => void;
  /** Something found the server silent: those who wait for an answer there should ask. */
  readonly onSilence: () => void;
  /** It answers again: what else failed may try at once. */
  readonly onBack: () => void;
}

/**
 * How a backend fares, as its leases, its watches, its session and its probe tell it, each under a key of its own.
 *
 * Two keys weigh more than the others, since their failure explains what else fails: the session's, which only the session
 * itself takes back (an answer from before it was lost may arrive late), and the probe's, which any answer takes back when
 * it was silence. Only an answer makes ready: when the last that failed has ended, nobody knows, and the probe asks.
 */
export class Health {
  /** The key of the connection that carries everything, where the product has one. */
  readonly session: object = {};
  private readonly probing: object = {};
  private readonly failing = new Map<object, DiscoveryError>();
  private probe: PeriodicTask | undefined;
  private connected = false;

  constructor(private readonly options: HealthOptions) {}

  /** Begins to ask. */
  start(): void {
    const { backend, clock, random, hooks } = this.options;
    const { probe } = hooks();
    if (probe === undefined) return;
    this.probe = new PeriodicTask({
      clock,
      what: `the question whether ${backend} is there`,
      intervalMs: () => probe.everyMs ?? NEVER_MS,
      retry: PROBE_RETRY,
      timeoutMs: () => probe.timeoutMs(),
      random,
      run: async (signal) => {
        await probe.ask(signal);
        this.ok(this.probing);
      },
      onError: (error) => this.failed(this.probing, error),
    });
    this.probe.start('now');
  }

  /** Ends the probing. */
  async stop(): Promise<void> {
    await this.probe?.stop();
  }

  /** What `key` asked for was answered. */
  ok(key: object): void {
    // Any answer says that the server isn't silent any more, also to the probe.
    const silence = [key, this.probing].filter((one) => this.isSilence(this.failing.get(one)));
    for (const one of [key, ...silence]) this.failing.delete(one);
    if (key === this.session) this.connected = true;
    this.show();
    if (silence.length > 0) this.options.onBack();
  }

  /** What `key` asked for could not be had. */
  failed(key: object, error: unknown): void {
    const { backend } = this.options;
    const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', undefined, { backend });
    const news = !this.failing.has(key);
    this.failing.set(key, failure);
    if (key === this.session) this.connected = false;
    this.show();
    if (!news || !this.isSilence(failure)) return;
    this.options.onSilence();
    // Who failed tries again after longer and longer pauses; the probe soon finds out that it may.
    if (key !== this.probing) this.look();
  }

  /** Something was cut off, and answered when it was asked again: the server may have been away for a moment. */
  cut(error: DiscoveryError): void {
    if (this.isSilence(error)) this.options.onBack();
  }

  /** `key` has ended: how it fared last says nothing any more. */
  gone(key: object): void {
    if (!this.failing.delete(key)) return;
    if (this.failing.size > 0 || this.connected) return this.show();
    this.look();
  }

  private look(): void {
    // Failures are told to `failed`.
    this.probe?.trigger().catch(() => {});
  }

  private isSilence(error: DiscoveryError | undefined): boolean {
    if (error === undefined) return false;
    const { isSilence } = this.options.hooks();
    return isSilence?.(error) ?? (error.code === 'BACKEND_UNAVAILABLE' || error.code === 'TIMEOUT');
  }

  private show(): void {
    const [first] = this.failing.values();
    this.options.show(this.failing.get(this.session) ?? this.failing.get(this.probing) ?? first);
  }
}
