/** What an instance of the service looks like from here: see `ServiceHttpClient.instanceStats`. */
export interface InstanceStats {
  readonly service: string;
  /** `http://10.0.0.5:8080` */
  readonly url: string;
  /** Calls under way. */
  readonly pending: number;
  /** Moving average of the response time, in milliseconds. */
  readonly latencyMs: number;
  /** Moving average of the share of calls that did not fail, from 0 to 1. */
  readonly health: number;
  /** Whether it is left out for now, for its failures. */
  readonly ejected: boolean;
}
