import { messageOf } from '../../model/index.js';
import type { Clock } from '../port/clock.js';
import type { Logger } from '../port/logger.js';
import { durationOf } from './log-text.js';

/** Troubles that are told of at one time: what they are about may be named by others. */
const MAX_OPEN = 100;

/**
 * Writes what fails again and again by itself, where no event tells of it: one line when it begins, in whatever words it
 * goes on, and one when it is over. What comes in between is for whoever debugs.
 */
export class TroubleLog {
  private readonly since = new Map<string, number>();

  constructor(
    private readonly logger: Logger,
    private readonly clock: Clock,
    /** Begins every line, for what writes among others: the backend's name. */
    private readonly name?: string,
  ) {}

  /**
   * It failed.
   *
   * @param what who or what fails: the same words mean the same trouble
   * @param meanwhile what goes on, and what is done about it
   */
  failed(what: string, error: unknown, meanwhile = 'it is tried again'): void {
    const line = this.named(`${what}: ${messageOf(error)}`);
    if (this.since.has(what) || this.since.size >= MAX_OPEN) return this.logger.debug(line);
    this.since.set(what, this.clock.now());
    this.logger.warn(`${line}; ${meanwhile}`);
  }

  /** It works, again or still. */
  works(what: string): void {
    const since = this.since.get(what);
    if (since === undefined) return;
    this.since.delete(what);
    this.logger.log(this.named(`${what} works again, after ${durationOf(this.clock.now() - since)}`));
  }

  /** Whatever was in trouble is another now: what fails next is told anew. */
  forget(): void {
    this.since.clear();
  }

  private named(line: string): string {
    return this.name === undefined ? line : `${this.name}: ${line}`;
  }
}
