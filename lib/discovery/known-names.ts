import { SingleFlight, withDeadline, type Clock, type DiscoveryDriver, type NamedDriver } from '../backend/index.js';

/** How long an error may wait to be explained, and how long a list of names is good for that, in milliseconds. */
const WAIT_MS = 500;
const KEPT_MS = 10_000;

/** The names of all services, for errors that explain why there is none of a name. */
export class KnownNames {
  private names: readonly string[] = [];
  private readAt = -Infinity;
  private readonly reading = new SingleFlight<void>();

  constructor(
    private readonly sources: readonly NamedDriver<DiscoveryDriver>[],
    private readonly clock: Clock,
  ) {}

  /** Those that differ from `service` in case only; none when the registries don't tell soon. Never rejects. */
  async alike(service: string): Promise<readonly string[]> {
    return (await this.spelledLike(service)).filter((name) => name !== service);
  }

  /** Those that are called so, in whatever case; none when the registries don't tell soon. Never rejects. */
  async spelledLike(service: string): Promise<readonly string[]> {
    if (this.clock.now() - this.readAt >= KEPT_MS) await this.reading.run('', () => this.read());
    const folded = service.toLowerCase();
    return this.names.filter((name) => name.toLowerCase() === folded);
  }

  private async read(): Promise<void> {
    // Before the answer: a registry that doesn't give one is asked no more often.
    this.readAt = this.clock.now();
    const lists = await Promise.allSettled(
      this.sources.map(({ driver }) =>
        withDeadline(this.clock, WAIT_MS, undefined, 'the list of services', (signal) => driver.listServices(signal)),
      ),
    );
    this.names = [...new Set(lists.flatMap((list) => (list.status === 'fulfilled' ? list.value : [])))].sort();
  }
}
