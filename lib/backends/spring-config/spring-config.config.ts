import {
  assertDocumentId,
  DiscoveryError,
  formatByExtension,
  type ConfigDocument,
  type ConfigDriver,
  type ConfigReport,
  type ConfigScope,
  type DriverHost,
  type PullSource,
  type Watch,
} from '../../backend/index.js';
import type { Asked, SpringConfigClient } from './spring-config.client.js';
import type { SpringConfigSettings } from './spring-config.options.js';

const NEVER = new AbortController().signal;

/** The read side of a config server: what it has of an application, and files that are named. It can't be written to. */
export class SpringConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: false, compareAndSet: false } as const;

  constructor(
    private readonly host: DriverHost,
    private readonly client: SpringConfigClient,
    private readonly settings: SpringConfigSettings,
    private readonly application: Asked,
  ) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    return this.host.documents(() => this.sourceOf(scope), report);
  }

  async read(id: string, signal: AbortSignal = NEVER): Promise<ConfigDocument | undefined> {
    this.host.assertOpen();
    assertDocumentId(id);
    return this.client.file(this.asked(this.application), id, signal);
  }

  formatOf(id: string) {
    return formatByExtension(id) ?? 'text';
  }

  publish(): Promise<string> {
    return Promise.reject(this.unsupported('written to; change what it reads from'));
  }

  remove(): Promise<boolean> {
    return Promise.reject(this.unsupported('written to; change what it reads from'));
  }

  private sourceOf(scope: ConfigScope): PullSource<readonly ConfigDocument[]> {
    const { pollMs: everyMs } = this.settings;
    switch (scope.kind) {
      case 'application': {
        const asked = this.asked(scope);
        return {
          what: `the configuration of ${asked.application}`,
          everyMs,
          read: async ({ signal }) => {
            const { documents, undecrypted } = await this.client.environment(asked, signal);
            for (const { key, document } of undecrypted) {
              const problem = `'${key}' could not be decrypted by the config server`;
              this.host.skip(
                `${document}: ${key}`,
                new DiscoveryError('CONFIG_VALUE_INVALID', problem, { field: key }),
              );
            }
            return documents;
          },
        };
      }
      case 'document': {
        const { id } = scope;
        assertDocumentId(id);
        return {
          what: `the configuration file ${id}`,
          everyMs,
          read: async ({ signal }) => {
            const found = await this.client.file(this.asked(this.application), id, signal);
            return found === undefined ? [] : [found];
          },
        };
      }
      case 'prefix':
        throw this.unsupported('asked for a prefix');
    }
  }

  private asked({ application, profiles }: Asked): Asked {
    const own = this.settings;
    return { application: own.applications?.join(',') ?? application, profiles: own.profiles ?? profiles };
  }

  private unsupported(what: string): DiscoveryError {
    const { name: backend } = this.host;
    return new DiscoveryError('UNSUPPORTED', `a Spring Cloud Config server can't be ${what}`, { backend });
  }
}
