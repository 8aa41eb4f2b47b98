import { expect, it } from 'vitest';
import { nats } from '../../../lib/backends/nats/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext, registrationOf } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { waitFor } from '../../servers/wait.js';
import { fresh, Opened } from './support.js';

withServer('nats', {}, (server) => {
  const opened = new Opened();

  it('however often a presence can’t be written, the next try comes within a renewal', async () => {
    const events: DiscoveryEvent[] = [];
    const bucket = fresh('retries');
    const definition = nats({ servers: server.url, presence: { bucket, create: false, leaseMs: 1000 }, rounds: false });
    // The longest of the delays that may be drawn.
    const backend = definition.create(createContext(events, { random: () => 0.999 }));
    opened.closing(() => backend.close());
    await backend.open();
    const lease = backend.registry?.register(registrationOf());
    const failures = (): number => events.filter(({ type }) => type === 'registration.failed').length;
    await waitFor(() => Promise.resolve(failures() >= 6), { what: 'it was tried and tried', timeoutMs: 30_000 });
    const before = failures();
    // Delays that had grown on would be 5 s each by now: this many would take longer than the test may.
    await waitFor(() => Promise.resolve(failures() >= before + 14), { what: 'and again', timeoutMs: 50_000 });
    expect(lease?.state.current.phase).toBe('retrying');
  });
});
