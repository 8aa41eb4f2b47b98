import type { BackendContext } from '../../backend/index.js';
import type { DiscoveryError } from '../../model/index.js';
import type { ConsulClient } from './client/consul-client.js';
import type { ConsulSettings } from './consul.options.js';

/** What the drivers of one backend share. */
export interface ConsulParts {
  readonly context: BackendContext;
  readonly settings: ConsulSettings;
  readonly client: ConsulClient;
  /** @throws DiscoveryError `BACKEND_CLOSED` */
  readonly assertOpen: () => void;
  /** Takes what must be ended with the backend; gives the way to take it back. */
  readonly adopt: (close: () => Promise<unknown>) => () => void;
  readonly health: {
    /** What `key` asked for was answered. */
    succeeded(key: object): void;
    failed(key: object, error: DiscoveryError): void;
    forget(key: object): void;
  };
}
