import type { Duration } from './values.js';

// Shapes of Consul's own data, in Consul's own spelling. What an older or newer server leaves out is optional here; what
// it adds is there under its name all the same.

/** State of a check. */
export type CheckStatus = 'passing' | 'warning' | 'critical';

/** An address under a tag such as `lan` or `wan`. */
export interface TaggedAddress {
  readonly Address: string;
  readonly Port: number;
}

/** How much of the traffic an instance takes. */
export interface ServiceWeights {
  readonly Passing: number;
  readonly Warning: number;
}

/** A check to register; exactly one of the kinds must be set (`TTL`, `HTTP`, `TCP`, `GRPC` …). */
export interface CheckDefinition {
  readonly Name?: string;
  readonly ID?: string;
  readonly CheckID?: string;
  /** The service that it belongs to; without one it belongs to the node. */
  readonly ServiceID?: string;
  readonly Notes?: string;
  /** @default 'critical' */
  readonly Status?: CheckStatus;
  /** Not together with `Interval`: servers refuse it. */
  readonly TTL?: Duration;
  readonly HTTP?: string;
  readonly Method?: string;
  readonly Body?: string;
  readonly Header?: Readonly<Record<string, readonly string[]>>;
  readonly TLSServerName?: string;
  readonly TLSSkipVerify?: boolean;
  readonly DisableRedirects?: boolean;
  readonly OutputMaxSize?: number;
  readonly TCP?: string;
  readonly TCPUseTLS?: boolean;
  readonly UDP?: string;
  readonly GRPC?: string;
  readonly GRPCUseTLS?: boolean;
  readonly H2PING?: string;
  readonly H2PingUseTLS?: boolean;
  readonly OSService?: string;
  /** Needs `enable_local_script_checks` at the agent. */
  readonly Args?: readonly string[];
  readonly DockerContainerID?: string;
  readonly Shell?: string;
  readonly AliasService?: string;
  readonly AliasNode?: string;
  readonly Interval?: Duration;
  readonly Timeout?: Duration;
  readonly SuccessBeforePassing?: number;
  readonly FailuresBeforeWarning?: number;
  readonly FailuresBeforeCritical?: number;
  /** At least a minute; the servers look every 30 seconds. */
  readonly DeregisterCriticalServiceAfter?: Duration;
}

/** A service to register at the agent. */
export interface ServiceDefinition {
  readonly Name: string;
  /** @default the name */
  readonly ID?: string;
  readonly Tags?: readonly string[];
  readonly Address?: string;
  readonly TaggedAddresses?: Readonly<Record<string, TaggedAddress>>;
  readonly Meta?: Readonly<Record<string, string>>;
  readonly Port?: number;
  readonly SocketPath?: string;
  readonly Kind?: string;
  readonly Proxy?: object;
  readonly Connect?: object;
  readonly Check?: CheckDefinition;
  readonly Checks?: readonly CheckDefinition[];
  readonly EnableTagOverride?: boolean;
  readonly Weights?: ServiceWeights;
  readonly Locality?: { readonly Region?: string; readonly Zone?: string };
}

/** A check as the agent or the catalogue has it. */
export interface HealthCheck {
  readonly Node: string;
  readonly CheckID: string;
  readonly Name: string;
  readonly Status: CheckStatus;
  readonly Notes: string;
  readonly Output: string;
  readonly ServiceID: string;
  readonly ServiceName: string;
  readonly ServiceTags?: readonly string[] | null;
  readonly Type?: string;
  readonly Definition?: object;
  readonly CreateIndex?: number;
  readonly ModifyIndex?: number;
}

/** A service as the agent has it. */
export interface AgentService {
  readonly ID: string;
  readonly Service: string;
  readonly Tags?: readonly string[] | null;
  readonly Meta?: Readonly<Record<string, string>> | null;
  readonly Port: number;
  readonly Address: string;
  readonly TaggedAddresses?: Readonly<Record<string, TaggedAddress>>;
  readonly Weights?: ServiceWeights;
  readonly EnableTagOverride?: boolean;
  readonly Kind?: string;
  readonly Datacenter?: string;
  readonly ContentHash?: string;
}

/** A node of the catalogue. */
export interface CatalogNode {
  readonly ID: string;
  readonly Node: string;
  readonly Address: string;
  readonly Datacenter: string;
  readonly TaggedAddresses?: Readonly<Record<string, string>> | null;
  readonly Meta?: Readonly<Record<string, string>> | null;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

/** An instance of a service in the catalogue, with its node. */
export interface CatalogService {
  readonly ID: string;
  readonly Node: string;
  readonly Address: string;
  readonly Datacenter: string;
  readonly TaggedAddresses?: Readonly<Record<string, string>> | null;
  readonly NodeMeta?: Readonly<Record<string, string>> | null;
  readonly ServiceKind?: string;
  readonly ServiceID: string;
  readonly ServiceName: string;
  readonly ServiceTags?: readonly string[] | null;
  /** Empty when it is the node's. */
  readonly ServiceAddress: string;
  readonly ServicePort: number;
  readonly ServiceMeta?: Readonly<Record<string, string>> | null;
  readonly ServiceWeights?: ServiceWeights;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

/** An instance of a service with its node and the checks of both. */
export interface ServiceEntry {
  readonly Node: CatalogNode;
  readonly Service: AgentService & { readonly CreateIndex?: number; readonly ModifyIndex?: number };
  readonly Checks: readonly HealthCheck[] | null;
}
