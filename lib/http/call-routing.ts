import { FIRST_TRY, isLaneName, type LaneRules, type PickContext, type RoutingOptions } from '../balancing/index.js';
import type { ResolvedCallOptions } from './call-options.js';
import type { IncomingHeaders } from './incoming-headers.js';

/** What of a call says where it goes. */
export interface CallSigns {
  /** The call's own headers; the name as the options have it. */
  header(name: string): string | undefined;
  /** Path and query of an HTTP call. */
  readonly path?: string | undefined;
  /** What the call itself says. */
  readonly given?: PickContext | undefined;
}

/** Signs of a call that has none. */
export const NO_SIGNS: CallSigns = { header: () => undefined };

/**
 * Tells what a call goes by: its key, hint, lane and version. Each is the call's own word, else that of its header, else, for
 * lanes, of the request in whose course it is made, else of a rule.
 */
export class CallRouting {
  /** @param rules the rules in force */
  constructor(
    private readonly incoming: IncomingHeaders,
    private readonly rules: () => LaneRules,
    private readonly random: () => number,
  ) {}

  /** Whether calls go by nothing but their own word. */
  isPlain({ hintHeader, keyHeader, routing }: ResolvedCallOptions): boolean {
    return hintHeader === undefined && keyHeader === undefined && !routesByLane(routing);
  }

  /** What the pick of a call goes by. */
  contextOf(service: string, options: ResolvedCallOptions, signs: CallSigns): PickContext {
    const { hintHeader, keyHeader, routing } = options;
    const { given } = signs;
    if (this.isPlain(options)) return given ?? FIRST_TRY;
    const hint = given?.hint ?? headerOf(signs, hintHeader);
    const key = given?.key ?? headerOf(signs, keyHeader);
    const context = {
      ...(given?.tried === undefined ? {} : { tried: given.tried }),
      ...(hint === undefined ? {} : { hint }),
      ...(key === undefined ? {} : { key }),
    };
    return routesByLane(routing) ? { ...context, ...this.laneOf(service, routing, signs, key) } : context;
  }

  /** As {@link contextOf}, for calls of whose headers nobody knows. */
  contextFor(service: string, options: ResolvedCallOptions): (given: PickContext) => PickContext {
    if (this.isPlain(options)) return (given) => given;
    return (given) => this.contextOf(service, options, { ...NO_SIGNS, given });
  }

  /** The headers by which a call carries its lane on. */
  carried(
    { routing: { lane } }: ResolvedCallOptions,
    context: PickContext,
  ): Readonly<Record<string, string>> | undefined {
    return lane === undefined || context.lane === undefined ? undefined : { [laneHeader(lane)]: context.lane };
  }

  private laneOf(
    service: string,
    { lane, version }: RoutingOptions,
    signs: CallSigns,
    key: string | undefined,
  ): Pick<PickContext, 'lane' | 'version'> {
    const { given } = signs;
    const choice: { lane?: string; version?: string } = {};
    if (lane !== undefined) {
      const name = laneHeader(lane);
      const found = given?.lane ?? named(signs.header(name)) ?? named(this.incoming.get(name));
      if (found !== undefined) choice.lane = found;
    }
    if (version !== undefined) {
      const name = version.header ?? 'x-api-version';
      const found = given?.version ?? named(signs.header(name)) ?? named(pathVersion(signs.path, version.pathPrefix));
      if (found !== undefined) choice.version = found;
    }
    const isDecided =
      (lane === undefined || choice.lane !== undefined) && (version === undefined || choice.version !== undefined);
    if (isDecided) return choice;
    const facts = { header: (name: string) => signs.header(name) ?? this.incoming.get(name), key };
    return { ...this.rules().choose(service, facts, this.random), ...choice };
  }
}

function routesByLane({ lane, version }: RoutingOptions): boolean {
  return lane !== undefined || version !== undefined;
}

function laneHeader({ header = 'x-lane' }: { readonly header?: string }): string {
  return header;
}

/** Headers come from outside: what can't be a name is none. */
function named(text: string | undefined): string | undefined {
  return text !== undefined && isLaneName(text) ? text : undefined;
}

/** `2` of `/v2/quote`. */
function pathVersion(path: string | undefined, prefix: string | undefined): string | undefined {
  if (path === undefined || prefix === undefined || !path.startsWith(`/${prefix}`)) return undefined;
  return /^\d[\w.-]*(?=[/?#]|$)/.exec(path.slice(prefix.length + 1))?.[0];
}

function headerOf(signs: CallSigns, name: string | undefined): string | undefined {
  return name === undefined ? undefined : signs.header(name);
}
