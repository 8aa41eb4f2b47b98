import { createServer, type AddressInfo } from 'node:net';
import { expect, it, vi } from 'vitest';
import { nats } from '../../../lib/backends/nats/index.js';
import { createContext, registrationOf } from '../../contract/contract-harness.js';

/** An address at which nobody listens. */
async function nowhere(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

it.each(['nats', '@nats-io/transport-node'] as const)('%s: nobody there is told with the address', async (library) => {
  const address = await nowhere();
  const definition = nats({ servers: `nats://user:the-password@${address}`, library });
  const backend = definition.create(createContext([]));
  try {
    await backend.open();
    const lease = backend.registry?.register(registrationOf());
    await vi.waitFor(() => expect(backend.state.current.phase).toBe('degraded'), 10_000);
    expect(backend.state.current.error?.message).toContain(address);
    expect(backend.state.current.error?.message).not.toContain('the-password');
    await vi.waitFor(() => expect(lease?.state.current.phase).toBe('retrying'), 10_000);
    // Nothing has arrived: there is nothing to take out, and nobody to wait for.
    expect(await lease?.revoke(new AbortController().signal)).toBe('removed');
  } finally {
    await backend.close();
  }
});
