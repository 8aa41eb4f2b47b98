import { Reporter, type ConfigReport, type Watch } from '../../backend/index.js';
import { DiscoveryError, toDiscoveryError, type ConfigDocument } from '../../model/index.js';
import type { ConfigObservation } from './client/config/items.js';
import type { ConfigAddress, NacosConfigItem } from './client/config/model.js';
import { toDocument } from './nacos.codec.js';
import type { DriverContext } from './nacos.ports.js';

/** One document of a scope. */
export interface WatchedDocument {
  readonly id: string;
  readonly address: ConfigAddress;
}

interface Part {
  readonly document: WatchedDocument;
  state: { readonly error: DiscoveryError } | { readonly content: ConfigDocument | undefined } | undefined;
  /** Counts what was heard: of two contents that are being decrypted the later one counts. */
  heard: number;
  observation?: ConfigObservation;
}

/** Reports the documents of a scope, all of them in one report, when every one is known. */
export class NacosConfigWatch implements Watch {
  private readonly reporter: Reporter<ConfigReport>;
  private readonly parts: readonly Part[];
  private last: string | undefined;
  private sending: Promise<void> = Promise.resolve();
  private told = 0;
  private closed = false;

  constructor(
    private readonly driver: DriverContext,
    documents: readonly WatchedDocument[],
    report: (report: ConfigReport) => void,
    private readonly onClosed: () => void,
  ) {
    const { settings, context, protocol } = driver;
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `configuration watch on ${settings.name}`, error }),
    );
    this.parts = documents.map((document) => ({ document, state: undefined, heard: 0 }));
    for (const part of this.parts) {
      part.observation = protocol.observeConfig(part.document.address, {
        changed: (item) => void this.changed(part, item),
        failed: (error) => {
          part.heard += 1;
          this.set(part, { error });
        },
      });
    }
  }

  async refresh(): Promise<void> {
    this.assertOpen();
    const before = this.told;
    const results = await Promise.allSettled(this.parts.map(async (part) => part.observation?.refresh()));
    this.assertOpen();
    // An item without news isn't told by itself; decrypting takes a moment.
    await Promise.resolve();
    const failed = results.find((result) => result.status === 'rejected');
    if (this.told === before) this.tell(true);
    await this.sending;
    if (failed !== undefined) {
      throw toDiscoveryError(failed.reason, 'BACKEND_UNAVAILABLE', 'the configuration could not be read');
    }
  }

  close(): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.closed = true;
    this.reporter.close();
    for (const part of this.parts) part.observation?.close();
    this.onClosed();
    return Promise.resolve();
  }

  private async changed(part: Part, item: NacosConfigItem | undefined): Promise<void> {
    part.heard += 1;
    const { heard } = part;
    const { id, address } = part.document;
    if (item === undefined) return this.set(part, { content: undefined });
    try {
      const reading = this.driver.settings.client.configFilter === undefined;
      const text = reading ? item.content : await this.driver.protocol.readable(address, item);
      if (part.heard !== heard) return;
      this.set(part, { content: toDocument(id, address.dataId, item, text) });
    } catch (error) {
      if (part.heard !== heard) return;
      this.set(part, { error: toDiscoveryError(error, 'CONFIG_DOCUMENT_INVALID', `${id} could not be read`) });
    }
  }

  private set(part: Part, state: NonNullable<Part['state']>): void {
    part.state = state;
    this.tell(false);
  }

  private tell(again: boolean): void {
    if (this.closed) return;
    const documents: ConfigDocument[] = [];
    let missing = false;
    for (const { state } of this.parts) {
      if (state === undefined) missing = true;
      else if ('error' in state) return this.send(`error ${state.error.message}`, { error: state.error }, again);
      else if (state.content !== undefined) documents.push(state.content);
    }
    if (missing) return;
    const key = JSON.stringify(documents.map(({ id, revision, content }) => [id, revision, content.format]));
    this.send(key, { documents: Object.freeze(documents) }, again);
  }

  private send(key: string, report: ConfigReport, again: boolean): void {
    if (key === this.last && !again) return;
    this.last = key;
    this.told += 1;
    this.sending = this.reporter.send(report);
  }

  private assertOpen(): void {
    if (this.closed) {
      throw new DiscoveryError('BACKEND_CLOSED', 'the configuration watch was closed', {
        backend: this.driver.settings.name,
      });
    }
  }
}
