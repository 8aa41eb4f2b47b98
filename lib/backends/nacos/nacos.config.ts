import {
  abandonOnAbort,
  allOf,
  conflict,
  formatByExtension,
  keepDocuments,
  sleep,
  type ConfigDriver,
  type ConfigReport,
  type ConfigRevision,
  type DriverHost,
  type Gathering,
  type PushSource,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import {
  defined,
  DiscoveryError,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
} from '../../model/index.js';
import type { ConfigObservation } from './client/config/items.js';
import { assertContent, configKeyText, type ConfigAddress, type NacosConfigItem } from './client/config/model.js';
import { md5 } from './client/signing.js';
import { toConfigAddress, toDocument, toDocumentId, typeOf } from './nacos.codec.js';
import type { NacosSettings } from './nacos.options.js';
import type { NacosProtocol } from './nacos.ports.js';

type Documents = readonly ConfigDocument[];

/** A content as the servers have it, which may be encrypted. */
type StoredContent = Pick<NacosConfigItem, 'content' | 'encryptedDataKey'>;

/** One document of a scope. */
interface WatchedDocument {
  readonly id: string;
  readonly address: ConfigAddress;
  /** What it is read as when neither its type nor its ending says. */
  readonly plain?: ConfigFormat | undefined;
}

/** No MD5 is like this: publishing on this condition works only where nothing is. */
const ABSENT = 'absent';

/** A server takes a change in a moment before it gives it out; nobody waits longer for that than this. */
const TAKE_IN_MS = 3000;

/** The configuration side of a Nacos backend. */
export class NacosConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;

  constructor(
    private readonly host: DriverHost,
    private readonly protocol: NacosProtocol,
    private readonly settings: NacosSettings,
  ) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    return this.host.documents(() => this.gatheringOf(scope), report);
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.host.assertOpen();
    const address = this.address(id);
    const { protocol } = this;
    const item = await protocol.query(address, signal);
    if (item === undefined) return undefined;
    return toDocument(id, address.dataId, item, await protocol.readable(address, item));
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.host.assertOpen();
    const address = this.address(id);
    assertContent(content, id);
    const { protocol, settings } = this;
    const { ifRevision, signal } = options;
    const before = await protocol.query(address, signal);
    // The server would create what the condition says exists.
    if (typeof ifRevision === 'string' && before?.md5 !== ifRevision) throw this.conflict(id, before, ifRevision);
    if (ifRevision === null && before !== undefined) throw this.conflict(id, before, ifRevision);
    const { configFilter } = settings.client;
    const { dataId, group } = address;
    const stored = configFilter === undefined ? { content } : await configFilter.encrypt({ dataId, group, content });
    await protocol.publish(
      {
        dataId,
        group,
        type: typeOf(dataId, options.format ?? this.typeOf(before)),
        ...stored,
        ...(ifRevision === undefined ? {} : { casMd5: ifRevision ?? ABSENT }),
      },
      signal,
    );
    const revision = md5(stored.content);
    // What is read next must be this, or something newer.
    const taken = await this.untilTakenIn(
      address,
      (item) => item?.md5 === revision || item?.md5 !== before?.md5,
      signal,
    );
    // Of two that create an item at once, servers with an embedded database tell both that it worked.
    if (ifRevision === null && taken !== undefined && taken.md5 !== revision) throw this.conflict(id, taken, null);
    return revision;
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.host.assertOpen();
    const address = this.address(id);
    const { protocol } = this;
    const before = await protocol.query(address, options.signal);
    const { ifRevision } = options;
    // Nacos has no conditional removal: between this look and the removal somebody else may still write.
    if (ifRevision !== undefined && (before?.md5 ?? null) !== ifRevision) throw this.conflict(id, before, ifRevision);
    if (before === undefined) return false;
    await protocol.remove(address, options.signal);
    await this.untilTakenIn(address, (item) => item?.md5 !== before.md5, options.signal);
    return true;
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const addresses = await this.protocol.listConfig(signal);
    return addresses
      .map((address) => toDocumentId(address, this.settings.config.group))
      .filter((id) => id.startsWith(prefix))
      .sort();
  }

  /** The servers remember what each change replaced; what it made of the document is what the next one replaced. */
  async history(id: string, signal?: AbortSignal): Promise<readonly ConfigRevision[]> {
    this.host.assertOpen();
    const address = this.address(id);
    const { protocol } = this;
    const changes = await protocol.configChanges(address, signal);
    let after: StoredContent | undefined = await protocol.query(address, signal);
    const revisions: ConfigRevision[] = [];
    for (const change of changes) {
      const made = change.operation === 'delete' ? undefined : change.operation === 'insert' ? change : after;
      if (change.operation === 'delete' || made !== undefined) {
        revisions.push({
          revision: made === undefined ? ABSENT : md5(made.content),
          ...defined({ at: change.at }),
          ...(made === undefined ? {} : { content: await protocol.readable(address, made) }),
        });
      }
      after = change.operation === 'insert' ? undefined : change;
    }
    return revisions;
  }

  /** All documents of a scope, told of when every one is known. */
  private gatheringOf(scope: ConfigScope): Gathering<Documents, Documents> {
    return {
      what: 'the configuration',
      sources: this.documentsOf(scope).map((document) => this.sourceOf(document)),
      combine: (parts) => allOf(parts)?.flat(),
    };
  }

  /** One document: a list of one, or of none. */
  private sourceOf({ id, address, plain }: WatchedDocument): PushSource<Documents> {
    const { protocol, settings } = this;
    const what = `the document ${id}`;
    let observation: ConfigObservation | undefined;
    // Decrypting takes a moment; of two contents the later one counts, whichever is ready first.
    let newest: Promise<void> = Promise.resolve();
    let heard = 0;
    /** What was heard last, when it could not be read: the key service may be back, and the server has no news. */
    let unread: (() => void) | undefined;
    const hear = (told: Promise<void>): void => {
      newest = told;
      newest.catch(() => {});
    };
    return {
      what,
      keep: keepDocuments,
      follow: ({ value, failed }) => {
        const tell = async (item: NacosConfigItem | undefined, mine: number): Promise<void> => {
          let document: ConfigDocument | undefined;
          let text: string | undefined;
          try {
            const readable = item === undefined || settings.client.configFilter === undefined;
            text = readable ? item?.content : await protocol.readable(address, item);
            if (item !== undefined && text !== undefined) document = toDocument(id, address.dataId, item, text, plain);
          } catch (error) {
            const problem = toDiscoveryError(error, 'CONFIG_DOCUMENT_INVALID', `${id} could not be read`);
            if (mine === heard) {
              unread = () => {
                unread = undefined;
                hear(tell(item, (heard += 1)));
              };
              failed(problem);
              // Not readable rather than not right: the key that it needs may come.
              if (text === undefined) observation?.again();
            }
            throw problem;
          }
          // Whoever waits for this one waits for the one that has overtaken it.
          if (mine !== heard) return newest;
          value(document === undefined ? [] : [document]);
        };
        const joined = protocol.observeConfig(address, {
          changed: (item) => {
            unread = undefined;
            hear(tell(item, (heard += 1)));
          },
          failed: (error) => {
            heard += 1;
            failed(error);
            hear(Promise.reject(error));
          },
        });
        observation = joined;
        return () => joined.close();
      },
      refresh: (signal) => {
        const answered = Promise.resolve(observation?.refresh()).then(() => {
          unread?.();
          return newest;
        });
        return abandonOnAbort(answered, signal, what);
      },
    };
  }

  /** The documents of a scope, those that win last. */
  private documentsOf(scope: ConfigScope): readonly WatchedDocument[] {
    switch (scope.kind) {
      case 'document':
        return [{ id: scope.id, address: this.address(scope.id) }];
      case 'application':
        return this.layersOf(scope.application, scope.profiles);
      case 'prefix':
        throw new DiscoveryError(
          'UNSUPPORTED',
          'Nacos has no prefixes to watch; name the documents (config.shared, config.extensions)',
          { backend: this.host.name, field: 'prefix' },
        );
    }
  }

  /**
   * `application[-profile].<ending>`, the shared documents, the extensions, then `<application>`,
   * `<application>.<ending>` and `<application>-<profile>.<ending>`, as Spring Cloud Alibaba has them.
   */
  private layersOf(application: string, profiles: readonly string[]): readonly WatchedDocument[] {
    const { client, config } = this.settings;
    const { group, fileExtension } = config;
    const unique = [...new Set(profiles)];
    const layer = (dataId: string): WatchedDocument =>
      this.document(toConfigAddress(dataId, group, client.namespaces.config));
    const listed = ({ dataId, group: own }: { dataId: string; group?: string }): WatchedDocument =>
      this.document({ dataId, group: own ?? group, tenant: client.namespaces.config });
    const all = [
      layer(`application.${fileExtension}`),
      ...unique.map((profile) => layer(`application-${profile}.${fileExtension}`)),
      ...config.shared.map(listed),
      ...config.extensions.map(listed),
      // Clients that tell no type publish text: the ending that the app's documents have says what it is.
      { ...layer(application), plain: formatByExtension(`x.${fileExtension}`) },
      layer(`${application}.${fileExtension}`),
      ...unique.map((profile) => layer(`${application}-${profile}.${fileExtension}`)),
    ];
    const seen = new Set<string>();
    return all.filter(({ address }) => {
      const key = configKeyText(address);
      return !seen.has(key) && seen.add(key).size > 0;
    });
  }

  private document(address: ConfigAddress): WatchedDocument {
    return { id: toDocumentId(address, this.settings.config.group), address };
  }

  private address(id: string): ConfigAddress {
    const { config, client } = this.settings;
    return toConfigAddress(id, config.group, client.namespaces.config);
  }

  /** A document keeps its type when nothing else is said. */
  private typeOf(item: NacosConfigItem | undefined): ConfigFormat | undefined {
    return item?.type === 'json' || item?.type === 'yaml' || item?.type === 'properties' ? item.type : undefined;
  }

  private async untilTakenIn(
    address: ConfigAddress,
    done: (item: NacosConfigItem | undefined) => boolean,
    signal: AbortSignal | undefined,
  ): Promise<NacosConfigItem | undefined> {
    const { clock } = this.host.context;
    const end = clock.now() + TAKE_IN_MS;
    try {
      for (let delay = 10; clock.now() < end; delay = Math.min(delay * 2, 200)) {
        const item = await this.protocol.query(address, signal);
        if (done(item)) return item;
        if (!(await sleep(clock, delay, signal))) break;
      }
    } catch {
      // The change itself was confirmed.
    }
    return undefined;
  }

  private conflict(id: string, present: NacosConfigItem | undefined, expected: string | null): DiscoveryError {
    return conflict(this.host.name, id, expected, present?.md5 ?? null);
  }
}
