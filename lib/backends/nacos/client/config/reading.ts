import { messageOf } from '../../../../model/index.js';
import { decrypted, type NacosConfigFilter } from './cipher.js';
import type { ConfigFiles, KeptContent } from './files.js';
import type { ConfigAddress, NacosConfigItem } from './model.js';
import type { Environment } from '../environment.js';
import { isOutage } from '../errors.js';

/** How a single read may differ. */
export interface NacosReadOptions {
  /** Milliseconds for this request. @default the client's */
  readonly timeoutMs?: number;
  /** Neither read nor write the snapshot for this item. @default the client's */
  readonly noSnapshot?: boolean;
  readonly signal?: AbortSignal;
}

/** What reading needs. */
export interface ConfigReadingOptions {
  readonly env: Environment;
  readonly files: ConfigFiles;
  readonly filter: NacosConfigFilter | undefined;
  readonly noSnapshot: () => boolean;
  readonly query: (address: ConfigAddress, options: NacosReadOptions) => Promise<NacosConfigItem | undefined>;
}

/** Reads in the order that all of Nacos's SDKs promise: the failover file, the servers, the snapshot. */
export class ConfigReading {
  private writing: Promise<void> = Promise.resolve();

  constructor(private readonly options: ConfigReadingOptions) {}

  /**
   * The readable content; undefined when there is none.
   *
   * @throws DiscoveryError what the server said, when neither a failover file nor a snapshot stands in for it
   */
  async get(address: ConfigAddress, options: NacosReadOptions = {}): Promise<string | undefined> {
    const { env, query } = this.options;
    const failover = await this.kept('failover', address);
    if (failover !== undefined) {
      env.logger.warn(`${env.backend}: ${address.dataId} was read from its failover file`);
      return this.readable(address, failover);
    }
    const noSnapshot = options.noSnapshot ?? this.options.noSnapshot();
    let item: NacosConfigItem | undefined;
    try {
      item = await query(address, options);
    } catch (error) {
      // A refusal is an answer: what one may no longer read must not come from the disk.
      if (noSnapshot || !isOutage(error)) throw error;
      const snapshot = await this.kept('snapshot', address);
      if (snapshot === undefined) throw error;
      env.logger.warn(`${env.backend}: ${address.dataId} was read from its snapshot: ${messageOf(error)}`);
      return this.readable(address, snapshot);
    }
    if (!noSnapshot) await this.keep(address, item);
    return item === undefined ? undefined : this.readable(address, item);
  }

  /** What an operator put in the place of an item, readable. */
  async failover(address: ConfigAddress): Promise<string | undefined> {
    const kept = await this.kept('failover', address);
    return kept === undefined ? undefined : this.readable(address, kept);
  }

  /** A file that can't be read counts as none, with a warning: the server may know better. */
  private async kept(which: 'failover' | 'snapshot', address: ConfigAddress): Promise<KeptContent | undefined> {
    const { env, files } = this.options;
    try {
      return await files[which](address);
    } catch (error) {
      env.logger.warn(`${env.backend}: the ${which} of ${address.dataId} can't be read: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** The content after the filter. */
  readable(
    address: ConfigAddress,
    stored: { readonly content: string; readonly encryptedDataKey?: string },
  ): Promise<string> {
    return decrypted(this.options.filter, address, stored);
  }

  /** Keeps what the server said as the snapshot; a failure is a warning. Writes follow each other. */
  keep(address: ConfigAddress, item: NacosConfigItem | undefined): Promise<void> {
    const { env, files } = this.options;
    this.writing = this.writing
      .then(() => (item === undefined ? files.forget(address) : files.save(address, item)))
      .catch((error: unknown) => {
        env.logger.warn(`${env.backend}: ${address.dataId} could not be kept on disk: ${messageOf(error)}`);
      });
    return this.writing;
  }
}
