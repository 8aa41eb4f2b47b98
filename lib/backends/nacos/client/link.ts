import type { DiscoveryError } from '../../../model/index.js';
import type { SignedResource } from './signing.js';

/** How the connection is doing. */
export interface LinkState {
  readonly phase: 'connecting' | 'ready' | 'degraded' | 'closed';
  readonly error?: DiscoveryError;
}

/** What an RPC request may be told. */
export interface RpcRequestOptions {
  /** What the signature covers, when access keys are used. */
  readonly resource: SignedResource;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  /** Not repeated when it is unknown whether the server did it. @default false */
  readonly once?: boolean;
}
