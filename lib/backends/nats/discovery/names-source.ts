import type { PullSource } from '../../../backend/index.js';
import type { KeyValueBucket } from '../jetstream/key-value.js';
import { KeyValueWatch, readAll } from '../jetstream/key-value-watch.js';
import { serviceOfKey } from '../nats.codec.js';
import type { NatsShared } from '../nats.shared.js';

/**
 * The names of the services in the presence bucket: read again when a key comes or goes, which renewals don't, and as
 * often as a record may expire, since a server before 2.11 forgets one without a word.
 */
export function presenceNamesSource(
  { host, settings }: NatsShared,
  bucket: KeyValueBucket,
): PullSource<readonly string[]> {
  const { leaseMs } = settings.presence;
  const retryMs = Math.min(1000, leaseMs);
  let known = new Set<string>();
  return {
    what: 'the services in the presence bucket',
    everyMs: leaseMs,
    timeoutMs: settings.connection.requestTimeoutMs,
    retry: { initialMs: retryMs, maxMs: retryMs },
    gatherMs: 20,
    follow: ({ again, failed }) => {
      const watch = new KeyValueWatch(bucket, {
        filters: ['>'],
        headersOnly: true,
        heartbeatMs: settings.heartbeatMs,
        random: () => host.context.random(),
        onInitial: () => again(),
        onEntry: ({ key, operation }) => {
          if (operation !== 'PUT' || !known.has(key)) again();
        },
        onError: failed,
      });
      return () => watch.close();
    },
    read: async ({ signal }) => {
      const entries = await readAll(bucket, '>', 'last', { headersOnly: true, signal });
      const present = entries.filter(({ operation }) => operation === 'PUT').map(({ key }) => key);
      if (!signal.aborted) known = new Set(present);
      return present.map(serviceOfKey).filter((service) => service !== undefined);
    },
  };
}
