import { expect, it } from 'vitest';
import type { ConfigReport } from '../../../lib/backend/index.js';
import {
  kmsCipher,
  nacos,
  NacosClient,
  NacosHttpClient,
  type NacosConfigListener,
  type NacosKeyProvider,
} from '../../../lib/backends/nacos/index.js';
import { createContext } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { Closing, freshName, localKeys, optionsFor, until } from './support.js';

/** A server that is told of a change just when it is asked for changes answers when the question ends, after 30 s. */
const PUSHED_MS = 60_000;

/** A key service that doesn't have the present key yet. */
class LateKeys {
  known = true;
  asked = 0;
  readonly provider: NacosKeyProvider = {
    ...localKeys(),
    decrypt: (text) => {
      this.asked += 1;
      return this.known ? localKeys().decrypt(text) : Promise.reject(new Error('no such key'));
    },
  };
  readonly filter = kmsCipher({ provider: this.provider });
}

withServer('nacos', { variant: 'auth' }, (server) => {
  const closing = new Closing();
  const publisher = (): NacosHttpClient =>
    closing.add(new NacosHttpClient({ ...optionsFor(server), configFilter: kmsCipher({ provider: localKeys() }) }));

  it.each(['grpc', 'http'] as const)(
    '%s backend: a value whose key comes late is read by itself, and the last good one stays meanwhile',
    async (protocol) => {
      const keys = new LateKeys();
      const backend = nacos({ ...optionsFor(server), protocol, configFilter: keys.filter }).create(createContext([]));
      closing.add(backend);
      await backend.open();
      const id = `cipher-kms-aes-128-${freshName('doc')}.json`;
      const writer = publisher();
      await writer.publishConfig(id, undefined, '{"limit":1}');
      await until(async () => (await writer.getConfig(id)) !== undefined, 'it is there');
      const reports: ConfigReport[] = [];
      backend.config?.watch({ kind: 'document', id }, (report) => void reports.push(report));
      const content = () => JSON.stringify(reports.at(-1)?.documents?.[0]?.content ?? null);
      await until(() => content().includes('limit'), 'it is read');
      keys.known = false;
      await writer.publishConfig(id, undefined, '{"limit":2}');
      await until(() => reports.at(-1)?.error !== undefined, 'it can not be decrypted', PUSHED_MS);
      expect(reports.at(-1)?.error).toMatchObject({ code: 'CONFIG_DOCUMENT_INVALID' });
      expect(backend.state.current.phase).toBe('ready');
      const before = keys.asked;
      await until(() => keys.asked > before, 'it is tried again by itself');
      // One error, however often it is tried, and never a list without the document.
      expect(reports.filter(({ error }) => error !== undefined)).toHaveLength(1);
      expect(reports.some(({ documents }) => documents?.length === 0)).toBe(false);
      keys.known = true;
      await until(() => content().includes('2'), 'it is read when the key is there');
    },
    120_000,
  );

  it.each(['gRPC', 'HTTP'] as const)(
    '%s client: a listener hears of it when the key is there',
    async (which) => {
      const keys = new LateKeys();
      const options = { ...optionsFor(server), configFilter: keys.filter };
      const dataId = `cipher-${freshName('doc')}`;
      const heard: (string | undefined)[] = [];
      const listener: NacosConfigListener = (_tenant, _id, _group, content) => void heard.push(content);
      const writer = publisher();
      await writer.publishConfig(dataId, undefined, 'one');
      await until(async () => (await writer.getConfig(dataId)) === 'one', 'it is there');
      const lines: string[] = [];
      const note = (line: unknown): void => void lines.push(String(line));
      const logger = { log: () => {}, debug: () => {}, warn: note, error: note };
      if (which === 'HTTP') {
        closing.add(new NacosHttpClient({ ...options, logger })).addConfigWatchers(dataId, undefined, [listener]);
      } else {
        const client = closing.add(new NacosClient({ ...options, logger }));
        await client.start();
        await client.config.addListener(dataId, undefined, listener);
      }
      await until(() => heard.includes('one'), 'it is heard');
      keys.known = false;
      await writer.publishConfig(dataId, undefined, 'two');
      const before = keys.asked;
      await until(() => keys.asked >= before + 2, 'it is tried again by itself', PUSHED_MS);
      expect(heard).toEqual(['one']);
      keys.known = true;
      await until(() => heard.includes('two'), 'it is heard when the key is there');
      expect(heard).toEqual(['one', 'two']);
      expect(lines.filter((line) => line.includes('no such key'))).toHaveLength(1);
    },
    120_000,
  );
});
