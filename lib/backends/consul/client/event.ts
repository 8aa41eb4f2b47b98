import { defined } from '../../../model/index.js';
import type { Answer } from './meta.js';
import type { ConsulCallOptions, ConsulRequests, ReadOptions } from './requests.js';
import { filterText, segment, type Filter, type Payload } from './values.js';

/** A user event. */
export interface UserEvent {
  readonly ID: string;
  readonly Name: string;
  /** What was sent with it; undefined when nothing was. */
  readonly Payload: Buffer | undefined;
  /** Regular expressions in the server's syntax; empty for all. */
  readonly NodeFilter: string;
  readonly ServiceFilter: string;
  readonly TagFilter: string;
  readonly Version: number;
  /** Logical time; 0 in the answer to `fire`. */
  readonly LTime: number;
}

/** Who is to see an event. */
export interface EventFilters {
  readonly node?: Filter;
  readonly service?: Filter;
  /** Only together with `service`. */
  readonly tag?: Filter;
}

type RawEvent = Omit<UserEvent, 'Payload'> & { readonly Payload: string | null };

/** User events: small messages that gossip spreads. */
export class EventApi {
  constructor(private readonly http: ConsulRequests) {}

  /**
   * Sends an event.
   * @param payload about a hundred bytes at most: an event with all it has must fit into a packet of 512
   */
  async fire(name: string, payload?: Payload, options: ConsulCallOptions & EventFilters = {}): Promise<UserEvent> {
    const { node, service, tag, ...rest } = options;
    const response = await this.http.request('PUT', `/event/fire/${segment(name, [], 'event')}`, {
      ...rest,
      query: queryOf({ node, service, tag }),
      ...defined({ body: payload }),
    });
    return decodeEvent(response.object<RawEvent>());
  }

  /**
   * The latest events that this agent has seen, oldest first, at most 256. Indexes of events don't grow: an answer to a
   * `watch` with another index means news, and the id of the last event that was seen tells where they begin.
   */
  async list(name?: string, options: ReadOptions & EventFilters = {}): Promise<Answer<readonly UserEvent[]>> {
    const { node, service, tag, ...rest } = options;
    const query = { ...queryOf({ node, service, tag }), name };
    const response = await this.http.request('GET', '/event/list', { ...rest, query });
    return response.with(response.list<RawEvent>().map(decodeEvent));
  }
}

function queryOf(filters: { readonly [K in keyof EventFilters]: Filter | undefined }): Record<
  string,
  string | undefined
> {
  return Object.fromEntries(
    Object.entries(filters).map(([key, filter]) => [key, filter === undefined ? undefined : filterText(filter, key)]),
  );
}

function decodeEvent(raw: RawEvent): UserEvent {
  const { Payload } = raw;
  return { ...raw, Payload: Payload === null ? undefined : Buffer.from(Payload, 'base64') };
}
