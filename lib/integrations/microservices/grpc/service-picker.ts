import { FIRST_TRY, type PickContext, type TrackedEndpoint } from '../../../balancing/index.js';
import { noInstance } from '../../../discovery/index.js';
import { describe, printable, type ServiceInstance } from '../../../model/index.js';
import { namesPort, portOf } from '../port-metadata.js';
import type { GrpcService } from './grpc-service.js';
import { settlePick, type GrpcCall } from './grpc-call.js';
import type { CallMetadata, CallStatus, GrpcLibrary, PickResult } from './grpc-port.js';
import { UNAVAILABLE } from './grpc-outcome.js';
import type { InstanceConnection } from './instance-connection.js';

/** What a pick is told; the call is the config selector's word. */
interface PickArgs {
  readonly metadata: CallMetadata;
  readonly extraPickInfo: { readonly call?: GrpcCall };
}

/** How many instances an error names. */
const MAX_NAMED = 5;

/** Instances that are looked at for one whose connection is there. */
const MAX_LOOKS = 100;

/** Picks for each try of a call: by the app's load balancer, among those whose connection is there. */
export class ServicePicker {
  private readonly types: GrpcLibrary['experimental']['PickResultType'];
  private readonly states: Readonly<Record<'READY' | 'TRANSIENT_FAILURE', number>>;

  constructor(
    private readonly service: GrpcService,
    private readonly library: GrpcLibrary,
    private readonly children: () => ReadonlyMap<string, InstanceConnection>,
  ) {
    this.types = library.experimental.PickResultType;
    this.states = library.connectivityState;
  }

  /** @internal Called by grpc-js. What is changed of the metadata goes out with this try, and with no other. */
  pick({ metadata, extraPickInfo: { call } }: PickArgs): PickResult {
    const { service } = this;
    if (call !== undefined && !call.mayBegin()) return this.drop(call);
    const context = call === undefined ? service.contextOf(metadata) : call.pickContext;
    const found = this.find(context);
    if (found instanceof Object) return this.complete(found.endpoint, found.child, call, metadata);
    if (found === 'wait') return this.result(this.types.QUEUE);
    if (found === 'nobody') return this.fail(this.nobody(context));
    return this.fail(this.failure());
  }

  /** Why no connection is there. */
  failure(): string {
    const all = this.service.called.route.candidates;
    if (all.length === 0) return this.nobody(FIRST_TRY);
    const named = all.slice(0, MAX_NAMED).map(({ instance }) => this.failureOf(instance));
    if (all.length > MAX_NAMED) named.push(`and ${all.length - MAX_NAMED} more`);
    const which = all.length === 1 ? 'the only instance' : `all of ${all.length} instances`;
    return `no connection to ${which} of ${this.service.name} (${named.join('; ')})`;
  }

  private find(
    context: PickContext,
  ): { readonly endpoint: TrackedEndpoint; readonly child: InstanceConnection } | 'wait' | 'nobody' | 'failed' {
    const { route } = this.service.called;
    const children = this.children();
    const { READY, TRANSIENT_FAILURE } = this.states;
    let passed: Set<string> | undefined;
    let waits = false;
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      const endpoint = route.select(passed === undefined ? context : { ...context, tried: passed });
      if (endpoint === undefined) return 'nobody';
      const { url } = endpoint.instance;
      if (passed?.has(url) === true) break;
      const child = children.get(url);
      const state = child?.state;
      if (child !== undefined && state === READY) return { endpoint, child };
      if (child !== undefined && state !== TRANSIENT_FAILURE) {
        waits = true;
        // Others than those of its lane are for when they aren't there, and not until they are.
        if (context.lane !== undefined) return 'wait';
      }
      passed ??= new Set(context.tried);
      passed.add(url);
    }
    const again = this.triedAndReady(context);
    if (again !== undefined) return again;
    return waits ? 'wait' : 'failed';
  }

  /** One that was tried and whose connection is there, where there is nobody else. */
  private triedAndReady({
    tried,
  }: PickContext): { readonly endpoint: TrackedEndpoint; readonly child: InstanceConnection } | undefined {
    if (tried === undefined) return undefined;
    for (const endpoint of this.service.called.route.candidates) {
      const child = tried.has(endpoint.instance.url) ? this.children().get(endpoint.instance.url) : undefined;
      if (child !== undefined && child.state === this.states.READY) return { endpoint, child };
    }
    return undefined;
  }

  private complete(
    endpoint: TrackedEndpoint,
    child: InstanceConnection,
    call: GrpcCall | undefined,
    metadata: CallMetadata,
  ): PickResult {
    const { service } = this;
    const { route } = service.called;
    const { subchannel } = child;
    const pickResultType = this.types.COMPLETE;
    if (call === undefined) {
      let pick: ReturnType<typeof route.begin> | undefined;
      return {
        pickResultType,
        subchannel,
        status: null,
        onCallStarted: () => {
          pick = route.begin(endpoint);
        },
        onCallEnded: (code, _details, trailers) => {
          if (pick !== undefined) settlePick(service, pick, code, trailers);
        },
      };
    }
    call.chosen(endpoint.instance, metadata);
    return {
      pickResultType,
      subchannel,
      status: null,
      // Not before: a call that ended meanwhile never begins.
      onCallStarted: () => call.started(route.begin(endpoint)),
      onCallEnded: (code, details = '', trailers) => call.tryEnded(code, details, trailers),
    };
  }

  private nobody(context: PickContext): string {
    const { called, options, app } = this.service;
    const { view } = called.balancer;
    const wanted = { schemes: called.schemes, routing: options.routing, context, now: app.views.now };
    return noInstance(view, wanted).message;
  }

  private failureOf(instance: ServiceInstance): string {
    const { portMetadata } = this.service;
    const { url, scheme, metadata } = instance;
    const port = portOf(instance, portMetadata);
    if (port === undefined) {
      const name = portMetadata.find((one) => metadata[one] !== undefined) ?? '';
      return `${url}: its ${name} is no port: ${describe(metadata[name])}`;
    }
    const at = port === instance.port ? '' : `, port ${port}`;
    const reason = printable(this.children().get(url)?.lastError ?? 'not connected yet').slice(0, 200);
    const guessed =
      !scheme.startsWith('grpc') && !namesPort(instance, portMetadata)
        ? ` (it is registered as ${scheme} and names no ${portMetadata[0]}, so its own port was taken for gRPC's)`
        : '';
    return `${url}${at}: ${reason}${guessed}`;
  }

  private drop(call: GrpcCall): PickResult {
    const { code = UNAVAILABLE, details = '', metadata } = call.lastStatus ?? {};
    return { ...this.result(this.types.DROP), status: this.statusOf(code, details, metadata) };
  }

  private fail(details: string): PickResult {
    return { ...this.result(this.types.TRANSIENT_FAILURE), status: this.statusOf(UNAVAILABLE, details) };
  }

  private statusOf(code: number, details: string, metadata?: CallMetadata): CallStatus {
    return { code, details, metadata: metadata ?? new this.library.Metadata() };
  }

  private result(pickResultType: number): PickResult {
    return { pickResultType, subchannel: null, status: null, onCallStarted: null, onCallEnded: null };
  }
}
