import type { CallAuthorizer } from '../backend/index.js';
import type { ServiceInstance } from '../model/index.js';
import type { ResolvedCallOptions } from './call-options.js';
import type { IncomingHeaders } from './incoming-headers.js';

/** By what a call carries its lane on. */
type Carried = Readonly<Record<string, string>> | undefined;

/** The headers that calls get besides their own, which win over all of them. */
export class CallHeaders {
  constructor(
    private readonly authorizers: readonly CallAuthorizer[],
    private readonly incoming: IncomingHeaders | undefined,
  ) {}

  /** Whether a call gets none. */
  isNone({ forwardHeaders, deadlineHeader }: ResolvedCallOptions, carried: Carried): boolean {
    return (
      this.authorizers.length === 0 &&
      forwardHeaders.length === 0 &&
      deadlineHeader === undefined &&
      carried === undefined
    );
  }

  /** @param timeoutMs what is left for the call; 0: for ever */
  async of(
    { forwardHeaders, deadlineHeader }: ResolvedCallOptions,
    carried: Carried,
    instance: ServiceInstance,
    timeoutMs: number,
  ): Promise<Readonly<Record<string, string>>> {
    const headers: Record<string, string> = {};
    for (const authorizer of this.authorizers) Object.assign(headers, await authorizer.headers(instance));
    Object.assign(headers, this.incoming?.pick(forwardHeaders), carried);
    if (deadlineHeader !== undefined && timeoutMs > 0) headers[deadlineHeader] = String(timeoutMs);
    return headers;
  }
}
