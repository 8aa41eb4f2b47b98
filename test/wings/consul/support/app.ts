import { consul } from '../../../../lib/backends/consul/index.js';
import { createRegistration } from '../../../../lib/model/index.js';
import { createContext } from '../../../contract/contract-harness.js';

// An app in a process of its own, which tests kill, or watch ending by itself.
const [address = '', service = '', port = '1', mode = 'stay'] = process.argv.slice(2);
const backend = consul({ address, check: { type: 'ttl', ttlMs: 2000 } }).create(createContext([]));
await backend.open();
const registration = createRegistration({ service, host: '127.0.0.1', port: Number(port) });
const lease = backend.registry?.register(registration);
backend.discovery?.watch(service, () => {});
backend.config?.watch({ kind: 'application', application: service, profiles: [] }, () => {});
await lease?.registered;
process.send?.('registered');
if (mode === 'end') {
  await lease?.revoke();
  await backend.close();
  process.disconnect?.();
}
