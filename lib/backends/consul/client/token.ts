import { readFile, stat } from 'node:fs/promises';
import { conceal, type Clock, type Logger } from '../../../backend/index.js';
import { codeOf, DiscoveryError, messageOf } from '../../../model/index.js';
import { isSecret } from './values.js';

/** How often a token file is looked at, at most, in milliseconds. */
const LOOK_EVERY_MS = 1000;

/** The default token of a client: given, or in a file that is read again when it was replaced. */
export class TokenSource {
  private secret: string | undefined;
  private version: string | undefined;
  private lookedAt = -Infinity;
  private looking: Promise<void> | undefined;
  private complained: string | undefined;

  constructor(
    given: string | undefined,
    private readonly file: string | undefined,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    this.secret = given;
  }

  /** Whether requests carry a token by themselves. */
  get configured(): boolean {
    return this.secret !== undefined || this.file !== undefined;
  }

  /**
   * The token at present.
   * @throws DiscoveryError `INVALID_OPTION` when the file was never readable
   */
  async current(): Promise<string | undefined> {
    const now = this.clock.now();
    if (this.file === undefined || (now >= this.lookedAt && now - this.lookedAt < LOOK_EVERY_MS)) return this.secret;
    this.looking ??= this.look(this.file).finally(() => {
      this.lookedAt = this.clock.now();
      this.looking = undefined;
    });
    await this.looking;
    return this.secret;
  }

  /** The token that came into the file since `used` was read; undefined when it is still the same. */
  async replacementOf(used: string | undefined): Promise<string | undefined> {
    if (this.file === undefined) return undefined;
    this.lookedAt = -Infinity;
    this.version = undefined;
    const now = await this.current();
    return now === used ? undefined : now;
  }

  private async look(file: string): Promise<void> {
    try {
      const { mtimeMs, size, ino } = await stat(file);
      const version = `${ino}:${size}:${mtimeMs}`;
      if (version === this.version) return;
      const text = (await readFile(file, 'utf8')).trim();
      if (!isSecret(text)) throw new Error('it must hold one token and nothing else');
      this.secret = text;
      this.version = version;
      this.complained = undefined;
    } catch (error) {
      const problem = codeOf(error) ?? messageOf(error);
      if (this.secret === undefined) {
        throw new DiscoveryError('INVALID_OPTION', `the token file ${file} can't be used: ${problem}`, {
          field: 'tokenFile',
          cause: error,
        });
      }
      // While it is being replaced it may be away or empty: the old token goes on.
      if (this.complained !== problem) this.logger.warn(`the token file ${file} can't be read again: ${problem}`);
      this.complained = problem;
    }
  }
}

conceal(TokenSource.prototype);
