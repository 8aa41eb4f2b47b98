import type { Answer } from './meta.js';
import { ConsulError } from './errors.js';
import type { ConsulCallOptions, ConsulRequests, ReadOptions } from './requests.js';
import { idOf, indexOf, segment, type ObjectId, type ObjectIndex } from './values.js';

/** Where a node is in the network, as times are estimated from. */
export interface Coordinate {
  readonly Vec: readonly number[];
  readonly Error: number;
  readonly Adjustment: number;
  readonly Height: number;
}

/** The coordinate of a node. */
export interface NodeCoordinate {
  readonly Node: string;
  readonly Segment?: string;
  readonly Coord: Coordinate;
}

/** The coordinates of the servers of a datacentre. */
export interface DatacenterCoordinates {
  readonly Datacenter: string;
  readonly AreaID: string;
  readonly Coordinates: readonly NodeCoordinate[];
}

/** Estimated time of a round trip between two coordinates, in milliseconds. */
export function roundTripMs(a: Coordinate, b: Coordinate): number {
  const squares = a.Vec.reduce((sum, value, at) => sum + (value - (b.Vec[at] ?? 0)) ** 2, 0);
  const distance = Math.sqrt(squares) + a.Height + b.Height;
  const adjusted = distance + a.Adjustment + b.Adjustment;
  return (adjusted > 0 ? adjusted : distance) * 1000;
}

/** Network coordinates. */
export class CoordinateApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Of the servers of all datacentres. */
  async datacenters(options?: ReadOptions): Promise<readonly DatacenterCoordinates[]> {
    return (await this.http.request('GET', '/coordinate/datacenters', options)).list<DatacenterCoordinates>();
  }

  /** Of all nodes. */
  async nodes(options?: ReadOptions): Promise<Answer<readonly NodeCoordinate[]>> {
    const response = await this.http.request('GET', '/coordinate/nodes', options);
    return response.with(response.list<NodeCoordinate>());
  }

  /**
   * Of one node, by network segment.
   * @throws ConsulError `not-found` when it has none
   */
  async node(
    node: string | { readonly Node: string },
    options?: ReadOptions,
  ): Promise<Answer<readonly NodeCoordinate[]>> {
    const response = await this.http.request('GET', `/coordinate/node/${segment(node, ['Node'], 'node')}`, options);
    return response.with(response.list<NodeCoordinate>());
  }
}

/** A server of the raft cluster. */
export interface RaftServer {
  readonly ID: string;
  readonly Node: string;
  readonly Address: string;
  readonly Leader: boolean;
  readonly Voter: boolean;
  readonly ProtocolVersion: string;
  readonly LastIndex?: number;
}

/** Settings of autopilot, which tends the servers. */
export interface AutopilotConfiguration {
  readonly CleanupDeadServers: boolean;
  readonly LastContactThreshold: string;
  readonly MaxTrailingLogs: number;
  readonly MinQuorum: number;
  readonly ServerStabilizationTime: string;
  readonly CreateIndex?: number;
  readonly ModifyIndex?: number;
}

/** The gossip keys of one pool. */
export interface Keyring {
  readonly WAN: boolean;
  readonly Datacenter: string;
  readonly Segment?: string;
  /** Keys and how many nodes have each. */
  readonly Keys: Readonly<Record<string, number>>;
  readonly NumNodes: number;
}

/** What operators of servers do. */
export class OperatorApi {
  constructor(private readonly http: ConsulRequests) {}

  /** The raft configuration. */
  async configuration(
    options?: ReadOptions,
  ): Promise<{ readonly Servers: readonly RaftServer[]; readonly Index: number }> {
    return (await this.http.request('GET', '/operator/raft/configuration', options)).object();
  }

  /** Removes a server that is gone from the raft cluster, by address (`ip:port`) or id. */
  async peerDelete(
    peer: string | { readonly Address: string } | { readonly ID: string },
    options?: ConsulCallOptions,
  ): Promise<boolean> {
    const byId = typeof peer === 'object' && 'ID' in peer;
    const query = byId ? { id: idOf(peer, ['ID'], 'peer') } : { address: idOf(peer, ['Address'], 'peer') };
    await this.http.request('DELETE', '/operator/raft/peer', { ...options, query });
    return true;
  }

  /** Hands the leadership over, to a server or to any; since 1.15. */
  async transferLeader({ id, ...options }: ConsulCallOptions & { readonly id?: ObjectId } = {}): Promise<{
    readonly Success: boolean;
  }> {
    const query = { id: id === undefined ? undefined : idOf(id, ['ID'], 'id') };
    return (await this.http.request('POST', '/operator/raft/transfer-leader', { ...options, query })).object();
  }

  /** Settings of autopilot. */
  async autopilotConfiguration(options?: ReadOptions): Promise<AutopilotConfiguration> {
    return (await this.http.request('GET', '/operator/autopilot/configuration', options)).object();
  }

  /**
   * Changes settings of autopilot; with `index` only if they are still as they were read.
   * @returns whether they were changed
   */
  async setAutopilotConfiguration(
    configuration: Partial<AutopilotConfiguration>,
    { index, ...options }: ConsulCallOptions & { readonly index?: ObjectIndex } = {},
  ): Promise<boolean> {
    const query = { cas: index === undefined ? undefined : indexOf(index) };
    const json = configuration;
    const response = await this.http.request('PUT', '/operator/autopilot/configuration', { ...options, query, json });
    return index === undefined ? true : response.flag();
  }

  /** The health of the servers; `Healthy` false is an answer and not an error. */
  async autopilotHealth(
    options?: ReadOptions,
  ): Promise<{ readonly Healthy: boolean; readonly FailureTolerance: number; readonly Servers: readonly object[] }> {
    return (await this.http.request('GET', '/operator/autopilot/health', { ...options, accept: [429] })).object();
  }

  /** All that autopilot knows. */
  async autopilotState(options?: ReadOptions): Promise<object> {
    return (await this.http.request('GET', '/operator/autopilot/state', options)).object();
  }

  /** The gossip keys. @throws ConsulError `server` when gossip isn't encrypted */
  async keyringList(options?: ReadOptions): Promise<readonly Keyring[]> {
    return (await this.http.request('GET', '/operator/keyring', options)).list<Keyring>();
  }

  /** Gives a gossip key to all nodes. */
  async keyringInstall(key: string, options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('POST', '/operator/keyring', { ...options, json: { Key: key } });
    return true;
  }

  /** Makes an installed gossip key the one that is used. */
  async keyringUse(key: string, options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('PUT', '/operator/keyring', { ...options, json: { Key: key } });
    return true;
  }

  /** Takes a gossip key that isn't used away from all nodes. */
  async keyringRemove(key: string, options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('DELETE', '/operator/keyring', { ...options, json: { Key: key } });
    return true;
  }
}

/** The state of the raft cluster. */
export class StatusApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Address of the leader; empty when there is none. */
  async leader(options?: ReadOptions): Promise<string> {
    const value = (await this.http.request('GET', '/status/leader', options)).json();
    if (typeof value === 'string') return value;
    throw new ConsulError('protocol', 'GET /v1/status/leader should have been answered with a text', {
      operation: 'GET /v1/status/leader',
    });
  }

  /** Addresses of all servers. */
  async peers(options?: ReadOptions): Promise<readonly string[]> {
    return (await this.http.request('GET', '/status/peers', options)).list<string>();
  }
}

/** Longest snapshot that is taken, in bytes. */
const MAX_SNAPSHOT_BYTES = 2 ** 30;

/** Snapshots of all that the servers know. */
export class SnapshotApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Takes a snapshot: a gzip archive, kept in memory, at most 1 GiB. */
  async save(options: ReadOptions = {}): Promise<Answer<Buffer>> {
    const response = await this.http.request('GET', '/snapshot', {
      timeoutMs: 300_000,
      ...options,
      maxBytes: MAX_SNAPSHOT_BYTES,
    });
    return response.with(response.body);
  }

  /** Replaces all that the servers know. */
  async restore(archive: Uint8Array, options: ConsulCallOptions = {}): Promise<boolean> {
    await this.http.request('PUT', '/snapshot', { timeoutMs: 300_000, ...options, body: archive });
    return true;
  }
}
